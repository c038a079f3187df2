"""The table of settings of districts and connections. `fields.py` has those of schools, and all settings by name."""

import re
from dataclasses import dataclass, replace
from typing import Any

Choices = tuple[tuple[str, str], ...]
SOURCES = "identifier, sourcedId, username, userMasterIdentifier, userIds:TYPE or metadata:KEY"


@dataclass(frozen=True)
class Setting:
    """One setting.

    name: its place in the model, as in `students.archive`. title: its label. help: one sentence, or a few, without the
    default. default: the default of the model. option: its flags for the `roster` command, if its name does not say
    them; None if it has none. choices: the value and the
    words of each choice. shown_default: how the default is written if its value alone would not be clear. metavar: the
    form of a value. advanced: whether the form shows it behind a click.
    """

    name: str
    title: str
    help: str
    default: Any = None
    option: str | None = ""
    choices: Choices = ()
    shown_default: str = ""
    metavar: str = ""
    advanced: bool = False

    @property
    def flags(self) -> str:
        """Its flags for the `roster` command: `--page-size`, `--delta/--no-delta`; empty if it has none."""
        name = re.sub("[._]", "-", self.name)
        derived = f"--{name}/--no-{name}" if isinstance(self.default, bool) else f"--{name}"
        return "" if self.option is None else self.option or derived

    @property
    def default_words(self) -> str:
        """The default as help and documentation write it; empty if there is none."""
        if self.shown_default or isinstance(self.default, bool):
            return self.shown_default or ("yes" if self.default else "no")
        return "" if self.default in (None, "", ()) else str(self.default)

    @property
    def hint(self) -> str:
        """The help with what an empty field means, for a form."""
        empty = self.default is None and self.shown_default not in ("", "required")
        return f"{self.help} Empty: {self.shown_default}." if empty else self.help

    @property
    def several(self) -> bool:
        """Whether it is a list."""
        return isinstance(self.default, tuple)

    @property
    def described(self) -> str:
        """The help with the values that can be chosen, and how an option for a list is used."""
        texts = [self.help]
        if self.choices:
            texts.append("; ".join(f"{value} = {words}" for value, words in self.choices) + ".")
        if self.several and self.metavar != "CONNECTIONS":
            texts.append('Repeat for more; replaces the list, "" empties it.')
        return " ".join(texts)


def advanced(*settings: Setting) -> tuple[Setting, ...]:
    """The same settings, as advanced ones."""
    return tuple(replace(setting, advanced=True) for setting in settings)


SIGN_INS: Choices = (
    ("auto", "Found out by asking"),
    ("oauth2", "OAuth 2.0 client credentials"),
    ("oauth1", "OAuth 1.0a"),
    ("bearer", "Static bearer token (the Client Secret)"),
)
VERSIONS: Choices = (("auto", "Found out by asking"), ("1.2", "Always 1.2"), ("1.1", "Always 1.1"))
STRATEGIES: Choices = (
    ("auto", "Decided by size"),
    ("whole", "The whole SIS once, split here"),
    ("per_school", "One school at a time"),
)
UNKNOWN_USER: Choices = (("404", "404 (the standard)"), ("400", "400"), ("403", "403"))
CONTROLLED_BY: Choices = (
    ("school", "Managers, and owners of all its schools"),
    ("district", "Managers of the district alone"),
)

DISTRICT = (
    Setting(
        "connection_ranking",
        "Connection ranking",
        "Connections, separated by commas. If several know a person, the person follows the first.",
        (),
        metavar="CONNECTIONS",
    ),
    Setting(
        "school_defaults",
        "Settings of new schools",
        "The settings with which a new school of the district begins.",
        option=None,
        shown_default="the standard settings",
    ),
)

CONNECTION = (
    Setting(
        "url",
        "URL",
        "The address of the SIS's OneRoster API, as the SIS gives it. A file:// or sftp:// address is for CSV.",
        shown_default="required",
    ),
    Setting(
        "client_id", "Client ID", "The ID that the SIS gave this connection; some systems call it the consumer key.", ""
    ),
    Setting(
        "sis",
        "SIS",
        "Which SIS it is, by its name in: roster sis list. A new connection starts from what is known of it.",
        "other",
    ),
    *advanced(
        Setting("token_url", "Token URL", "The address that hands out sign-in tokens.", shown_default="found out"),
        Setting("sign_in", "Sign-in", "How to sign in.", "auto", choices=SIGN_INS),
        Setting("scopes", "Scopes", "OAuth scopes, separated by blanks.", shown_default="those of the version"),
        Setting("version", "OneRoster version", "The version of the API.", "auto", choices=VERSIONS),
        Setting("page_size", "Page size", "Records per page. We ask for fewer if the SIS allows only fewer.", 1000),
        Setting(
            "ca_bundle",
            "Certificates to trust as well",
            "For a SIS with its own certificates: in PEM form, or the path of a file.",
        ),
        Setting("host_key", "SFTP host key", "For CSV over SFTP: the server's key, as ssh-keyscan prints it."),
        Setting(
            "student_number_from",
            "Student number from",
            f"Where the student number is: {SOURCES}.",
            "identifier",
            metavar="SOURCE",
        ),
        Setting(
            "staff_number_from",
            "Staff number from",
            f"Where the staff number is: {SOURCES}.",
            "identifier",
            metavar="SOURCE",
        ),
        Setting(
            "primary_contact_from",
            "Primary contact from",
            "The metadata field that marks a student's primary contact, if the SIS has one: metadata:KEY.",
            metavar="metadata:KEY",
        ),
        Setting(
            "contact_rules",
            "Contact rules",
            "Which contacts may be called: FIELD=VALUES; or which may not: FIELD!=VALUES. FIELD is role, relationship, "
            "metadata:KEY or agents:KEY; values are separated by commas. A value that no rule names also excludes "
            "the contact.",
            (),
            option="--contact-rule",
            shown_default="none",
            metavar="FIELD=VALUES",
        ),
        Setting(
            "contact_relationship_from",
            "Relationship from",
            "Where the SIS says what a contact is to the student: metadata:KEY or agents:KEY.",
            shown_default="the role",
            metavar="SOURCE",
        ),
        Setting(
            "contact_flags",
            "Kept of a contact",
            "Fields that are kept with each contact for applications: metadata:KEY or agents:KEY.",
            (),
            option="--contact-flag",
            shown_default="none",
            metavar="SOURCE",
        ),
        Setting(
            "disabled_means_gone",
            "Disabled means gone",
            "Whether a user with enabledUser=false counts as gone. Leave it off unless a test shows few "
            "disabled accounts.",
            False,
            option="--disabled-means-gone/--disabled-is-a-field",
        ),
        Setting(
            "no_enrollment_means_gone",
            "No enrollment means gone",
            "For a SIS that never removes people: a student without a running enrollment in the school has left it.",
            False,
            option="--no-enrollment-means-gone/--enrollments-decide-nothing",
        ),
        Setting(
            "unknown_user_answer",
            "Answer for an unknown user",
            "The HTTP status with which this SIS answers for one user whom it does not have. Choose another one only "
            "if the vendor says so. It then means that the person left, if a made-up user gets it too.",
            "404",
            choices=UNKNOWN_USER,
        ),
        Setting(
            "allow_private_addresses",
            "Allow private addresses",
            "Whether the SIS may be on this machine or in the private network. Only operators may change it.",
            False,
            option="--allow-private-addresses/--no-private-addresses",
        ),
        Setting(
            "strategy",
            "Reading",
            "Whether the whole SIS is read once and split here, or one school at a time.",
            "auto",
            choices=STRATEGIES,
        ),
        Setting(
            "delta",
            "Fetch changes only",
            "Between weekly full pulls, fetch only what changed, if the SIS proves that it can.",
            False,
        ),
        Setting(
            "controlled_by",
            "Who may change the connection",
            "Managers and owners of all its schools, or managers of the district alone. A connection of the district "
            "is trusted with people of another connection too.",
            "school",
            choices=CONTROLLED_BY,
        ),
        Setting(
            "secret_expires",
            "Client Secret valid until",
            "The last day on which the Client Secret is valid; mails remind the owners 14 and 3 days before.",
            metavar="YYYY-MM-DD",
        ),
    ),
)
CLIENT_SECRET = Setting("client_secret", "Client Secret", "Stored encrypted, and never shown again.")
