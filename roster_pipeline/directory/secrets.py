"""Stores Client Secrets: as a Fernet token, or as a reference to an environment variable.

The database never has a secret in plain text.

The key is `ROSTER_SECRET_KEY`. While keys are exchanged, it may contain several keys, separated by commas. The first
one seals; all of them open. A process that was not restarted after a rotation still has the old key. It seals nothing
with it, because nobody could open that after the restart. The audit has a mark of each key that was replaced.
"""

import os
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Connection, delete, select, update

from roster_pipeline.directory import audit
from roster_pipeline.directory.database import DirectoryError, UnreadableSecret
from roster_pipeline.directory.locks import lock_until_commit, lock_until_commit_shared
from roster_pipeline.directory.tables import connection, connection_test
from roster_pipeline.settings.installation import SecretKey

SECRET_KEY = "ROSTER_SECRET_KEY"  # noqa: S105 - the variable's name
REFERENCE = "env:"
ROTATED = "secrets rotated"
LOCK = "key of secrets"


class MissingKey(UnreadableSecret):
    """There is no key to seal or open secrets, or the key is not valid."""


class WrongKey(UnreadableSecret):
    """The current key is not the key that sealed this secret."""

    def __init__(self) -> None:
        super().__init__(
            "The stored Client Secret was encrypted with another key.",
            "An operator has to act. If the key was replaced, restart every process that still has the old one. "
            f"Otherwise set {SECRET_KEY} to the key that was used, or enter the secret again: roster connection set",
        )


class ReplacedKey(DirectoryError):
    """A rotation has replaced the key of this process, so it seals nothing."""

    def __init__(self) -> None:
        super().__init__(
            "The key for Client Secrets was replaced, but this program was not restarted since.",
            "An operator has to restart it with the new key. Then type the Client Secret again.",
        )


def new_key() -> str:
    return Fernet.generate_key().decode()


def key_in(path: Path) -> str:
    """The key in a file, which is made if it is missing. Only the owner of the file may read it."""
    if not path.exists():
        draft = path.with_suffix(f".{token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(new_key())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was faster; its key counts
        finally:
            draft.unlink()
    return path.read_text().strip()


def seal(plain: str) -> str:
    """The sealed form of a secret; a reference `env:NAME` stays. Raises MissingKey."""
    if plain.startswith(REFERENCE):
        return plain
    return _fernet(_key()).encrypt(plain.encode()).decode()


def seal_to_keep(conn: Connection, plain: str) -> str:
    """As `seal`, for a secret that is stored in this transaction. Raises ReplacedKey after a rotation."""
    lock_until_commit_shared(conn, LOCK)
    sealed = seal(plain)
    if plain.startswith(REFERENCE):
        return sealed
    mark = _marks(_key())[0]
    for rotation in audit.search(conn, what=ROTATED, limit=1000):
        if rotation.details.get("key") == mark:
            break
        if mark in rotation.details.get("replaced", ()):
            raise ReplacedKey
    return sealed


def unseal(sealed: str) -> str:
    """Open a sealed secret. Raises MissingKey, WrongKey, and UnreadableSecret for a variable that is not set."""
    if sealed.startswith(REFERENCE):
        name = sealed.removeprefix(REFERENCE)
        if not os.environ.get(name):
            raise UnreadableSecret(
                f"The Client Secret is kept in the environment variable {name}, which is not set.",
                f"Set {name} where the pipeline runs, or enter the secret itself: roster connection set",
            )
        return os.environ[name]
    return _opened(sealed, _fernet(_key()))


def rotate(conn: Connection, old: str, new: str, *, who: str) -> int:
    """Seal every stored secret again. Returns how many. Raises WrongKey and changes nothing if one cannot be opened. A
    secret that was typed for a test is deleted with its test if the old key does not open it."""
    lock_until_commit(conn, LOCK)
    before, after = _fernet(old), _fernet(new)
    number = 0
    for table in (connection, connection_test):
        rows = conn.execute(select(table.c.id, table.c.secret).with_for_update(key_share=True)).all()
        sealed = [(id_, secret) for id_, secret in rows if secret and not secret.startswith(REFERENCE)]
        for id_, secret in sealed:
            try:
                fresh = after.encrypt(_opened(secret, before).encode()).decode()
            except WrongKey:
                if table is connection:
                    raise
                conn.execute(delete(connection_test).where(connection_test.c.id == id_))
                continue
            conn.execute(update(table).where(table.c.id == id_).values(secret=fresh))
            number += 1
    replaced = sorted({*_marks(old)} - {*_marks(new)})
    audit.record(conn, who, ROTATED, details={"secrets": number, "key": _marks(new)[0], "replaced": replaced})
    return number


def _marks(keys: str) -> list[str]:
    """What tells keys apart, and says nothing about them: they are 256 random bits."""
    return [sha256(key.strip().encode()).hexdigest()[:16] for key in keys.split(",") if key.strip()]


def _key() -> str:
    given = SecretKey.read().secret_key
    if given:
        return given
    raise MissingKey(
        "There is no key to encrypt Client Secrets with.",
        f"Set {SECRET_KEY} (make one with: roster secrets new-key), or keep the secret in a variable: env:NAME.",
    )


def _fernet(keys: str) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key.strip()) for key in keys.split(",") if key.strip()])
    except ValueError:
        raise MissingKey(f"{SECRET_KEY} is not a key.", "Make one with: roster secrets new-key") from None


def _opened(sealed: str, fernet: MultiFernet) -> str:
    try:
        return fernet.decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise WrongKey from None
