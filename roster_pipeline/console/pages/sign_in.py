"""Signing in by a one-time link (a GET only looks at it; the button on its page signs in) or by OpenID Connect, and
signing out. The mail with a link is sent at once: in the outbox, everybody who may look at the database could read the
link, and it would stay there for longer than its hour. A mail server that takes no mail of a new sender at first is
asked again a few times."""

import logging
import re
from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from threading import Timer
from urllib.parse import urlencode, urlsplit

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from roster_pipeline.console.config import Config
from roster_pipeline.console.openid import UNKNOWN, Provider, TokenRefused, account_of
from roster_pipeline.console.page import database, form, page, route
from roster_pipeline.console.session import keep_visit, limit, nothing_here, signed_in, signed_out
from roster_pipeline.directory import accounts, sessions
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.sessions import Attempt, hashed, new_token
from roster_pipeline.notifications.mail import Mail, Mailer, MailError, TemporaryDeliveryError, message_id
from roster_pipeline.notifications.notice import sign_in_mail
from roster_pipeline.notifications.smtp import mailer_from
from roster_pipeline.services.access_changes import note_refusal, note_sign_in
from roster_pipeline.settings.installation import MailServer, home

WINDOW = timedelta(minutes=15)
ASKED_FROM_ONE_PLACE = 20
"""A school's office shares one network address. A machine that tries addresses asks far more often than an office."""
ASKED_FOR_ONE_ADDRESS = 1
"""How often one asker may ask while a link works; a stranger locks out only themselves."""
LINKS_FOR_ONE_ADDRESS = 10
"""How many links one mailbox gets while one works. Each signs its owner in, so strangers lock nobody out."""
LINKS_FOR_ALL = 300
"""How many mails with links leave in one window, to addresses with access."""
ASKED_BY_ALL = 20_000
"""Bounds the rows that strangers with many addresses can write."""
TRIED_FROM_ONE_PLACE = 60
LONGEST_ADDRESS = 320
NO_REFERRER = {"referrer-policy": "no-referrer"}
"""The address of this page is the link itself."""
PROVIDERS = {"accounts.google.com": "Google", "login.microsoftonline.com": "Microsoft"}
CALLBACK = "/sign-in/callback"
ERROR_CODE = re.compile(r"[a-z_]{1,40}")
NO_LONGER = "This link does not work any more."
NOT_OURS = "This sign-in started in another browser, or too long ago. Start again."
IPV6_HOME = 64
"""An internet provider gives one customer all addresses of such a network."""
SENT_AGAIN_AFTER = (60.0, 300.0, 900.0)
"""Seconds to wait before each further try. Servers that put off new senders (greylisting) want up to 15 minutes."""
log = logging.getLogger(__name__)


@route("/sign-in/oidc", "GET")
def begin_openid(request: Request) -> Response:
    """Remember the attempt and send the browser to the provider."""
    provider = _provider(request)
    visit = request.state.visit or new_token()
    attempt = Attempt(new_token(), new_token(), local_path(request.query_params.get("next", "")))
    limit(request, "openid begun from", address_of(request), TRIED_FROM_ONE_PLACE, WINDOW)
    with database(request).begin() as conn:
        sessions.sweep(conn)
        state = sessions.begin_attempt(conn, visit, attempt)
    answer = RedirectResponse(provider.address(state, attempt), 303)
    keep_visit(request, answer, visit)
    return answer


@route(CALLBACK, "GET")
def come_back(request: Request) -> Response:
    """Read the provider's answer about the person."""
    provider = _provider(request)
    given = request.query_params
    limit(request, "openid back from", address_of(request), TRIED_FROM_ONE_PLACE, WINDOW)
    attempt = database(request).call(sessions.take_attempt, request.state.visit or "", given.get("state", ""))
    if attempt is None:
        return _refused(request, NOT_OURS)
    if "code" not in given:
        code = given.get("error", "")
        error = code if ERROR_CODE.fullmatch(code) else "no reason given"
        return _refused(request, f"The identity provider did not sign you in ({error}).")
    try:
        identity = provider.identity(given["code"], attempt)
    except TokenRefused as problem:
        database(request).call(note_refusal, UNKNOWN, problem.message)
        return _refused(request, f"{problem.message} {problem.remedy}")
    found = database(request).call(account_of, identity)
    if isinstance(found, str):
        return _refused(request, found)
    return signed_in(request, RedirectResponse(attempt.next_path, 303), found.id)


def _provider(request: Request) -> Provider:
    """The provider in the settings; 404 if there is none."""
    state = request.app.state
    config: Config = state.config
    if config.oidc is None:
        raise nothing_here()
    if not hasattr(state, "provider"):
        state.provider = Provider(config.oidc, config.url + CALLBACK)
    found: Provider = state.provider
    return found


def _refused(request: Request, message: str) -> Response:
    return page(request, "sign_in_refused.html", status=403, message=message)


@route("/sign-in", "GET")
def choose(request: Request) -> Response:
    """The ways in."""
    next_path = local_path(request.query_params.get("next", ""))
    if request.state.viewer:
        return RedirectResponse(next_path, 303)
    return _choice(request, next_path)


@route("/sign-in", "POST")
def ask(request: Request) -> Response:
    """Send a link; the answer is the same for unknown addresses."""
    config: Config = request.app.state.config
    sent = form(request)
    email, next_path = accounts.normal(str(sent.get("email", ""))), local_path(str(sent.get("next", "")))
    if not config.mail_links:
        return _choice(request, next_path)
    if "@" not in email.strip("@") or len(email) > LONGEST_ADDRESS:
        return _choice(
            request, next_path, email=email, error="Write your e-mail address, like office@riverside.example."
        )
    limit(request, "links asked from", address_of(request), ASKED_FROM_ONE_PLACE, WINDOW)
    limit(request, "links asked by all", "", ASKED_BY_ALL, WINDOW)
    with database(request).begin() as conn:
        sessions.sweep(conn)
        used, seconds = sessions.count(conn, "links asked for", _asker(request, email), sessions.LINK_LASTS)
    minutes = -(-seconds // 60)
    answer = page(request, "sign_in_sent.html", sent=used <= ASKED_FOR_ONE_ADDRESS, minutes=minutes)
    if used <= ASKED_FOR_ONE_ADDRESS:
        answer.background = BackgroundTask(send_link, database(request), config, email, next_path)
    return answer


@route("/sign-in/link", "GET")
def look(request: Request) -> Response:
    """A button. Mail scanners open links, so this does not use up the link."""
    token = request.query_params.get("token", "")
    next_path = local_path(request.query_params.get("next", ""))
    limit(request, "links tried from", address_of(request), TRIED_FROM_ONE_PLACE, WINDOW)
    with database(request).begin() as conn:
        account_id = sessions.account_of_link(conn, token)
        account = accounts.by_id(conn, account_id) if account_id is not None else None
    if account is None:
        return _refused(request, NO_LONGER)
    answer = page(request, "sign_in_link.html", email=account.email, token=token, next_path=next_path)
    answer.headers.update(NO_REFERRER)
    return answer


@route("/sign-in/link", "POST")
def use(request: Request) -> Response:
    token, next_path = str(form(request).get("token", "")), local_path(str(form(request).get("next", "")))
    limit(request, "links tried from", address_of(request), TRIED_FROM_ONE_PLACE, WINDOW)
    with database(request).begin() as conn:
        account_id = sessions.use_link(conn, token)
        account = accounts.by_id(conn, account_id) if account_id is not None else None
        if account is None:
            note_refusal(conn, UNKNOWN, "a link that was used, is over, or never was")
        else:
            note_sign_in(conn, account, "link")
            sessions.forget(conn, "links asked for", _asker(request, account.email))
            sessions.forget(conn, "links sent to", account.email)
    if account is None:
        return _refused(request, NO_LONGER)
    return signed_in(request, RedirectResponse(next_path, 303), account.id)


@route("/sign-out", "POST")
def leave(request: Request) -> Response:
    return signed_out(request, RedirectResponse("/sign-in", 303))


def _asker(request: Request, email: str) -> str:
    """An e-mail address together with the network from which somebody asks for it."""
    return f"{email} {address_of(request)}"


def local_path(asked: str) -> str:
    """A path of this site, as the next page; `/` for anything that could lead to another site."""
    plain = asked.startswith("/") and not asked.startswith("//") and "\\" not in asked and asked.isprintable()
    if not plain:
        return "/"
    parts = urlsplit(asked)
    leads_back = parts.path == "/sign-in" or parts.path.startswith(("/sign-in/", "/sign-out"))
    return asked if not parts.scheme and not parts.netloc and not leads_back else "/"


def provider(config: Config) -> str:
    """The name that people use for the identity provider."""
    host = urlsplit(config.oidc.issuer).hostname if config.oidc else ""
    return PROVIDERS.get(host or "", host or "")


def _choice(request: Request, next_path: str, *, email: str = "", error: str = "") -> Response:
    config: Config = request.app.state.config
    return page(
        request, "sign_in.html", status=400 if error else 200, provider=provider(config), mail_links=config.mail_links,
        next_path=next_path, email=email, error=error,
    )  # fmt: skip


def address_of(request: Request) -> str:
    """For counting: an IPv4 address, or an IPv6 network; a proxy's header counts only if it is in the settings."""
    host = request.client.host if request.client else "unknown"
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or int(address) >> (128 - IPV6_HOME))
    return host


def link_address(config: Config, token: str, next_path: str = "/") -> str:
    """The link itself. It begins with the address from the settings, never with an address from a request."""
    more = {"next": next_path} if next_path != "/" else {}
    return f"{config.url}/sign-in/link?{urlencode({'token': token, **more})}"


def send_link(database: Database, config: Config, email: str, next_path: str) -> None:
    """Send a link if the address may sign in, after the answer, which therefore shows nobody whether it may."""
    try:
        with database.begin() as conn:
            account = accounts.find(conn, email)
            if account is None:
                note_refusal(conn, UNKNOWN, "a link was asked for by an address without access")
                return
            if config.oidc is not None and account.bound:
                note_refusal(conn, account.email, "a link was asked for, but the account signs in at the provider")
                return
            of_account, _ = sessions.count(conn, "links sent to", account.email, sessions.LINK_LASTS)
            if of_account > LINKS_FOR_ONE_ADDRESS:
                note_refusal(conn, account.email, "a link was asked for, but many were sent within an hour")
                return
            of_all, _ = sessions.count(conn, "links sent", "", WINDOW)
            if of_all > LINKS_FOR_ALL:
                log.error("A sign-in link was not sent: %d were sent in %s. Find out who asks.", LINKS_FOR_ALL, WINDOW)
                return
            token = sessions.new_link(conn, account.id)
        mail = sign_in_mail(link_address(config, token, next_path), config.url, sessions.LINK_LASTS.seconds // 60)
        _send(mailer_from(MailServer.read(), home() / "outbox"), hashed(token), account.email, mail)
    except (MailError, DirectoryError) as problem:
        log.error("A sign-in link could not be sent: %s %s", problem.message, problem.remedy)


def _send(mailer: Mailer, identity: str, email: str, mail: Mail, tried: int = 0) -> None:
    """Send the mail, or begin to wait for another try."""
    try:
        mailer.send(message_id("sign-in", identity, sender=mailer.sender), [email], mail)
    except MailError as problem:
        later = SENT_AGAIN_AFTER[tried:] if isinstance(problem, TemporaryDeliveryError) else ()
        more = f" It is tried again in {later[0] / 60:.0f} min." if later else ""
        log.error("A sign-in link could not be sent: %s %s%s", problem.message, problem.remedy, more)
        if later:
            again = Timer(later[0], _send, (mailer, identity, email, mail, tried + 1))
            again.daemon = True
            again.start()
