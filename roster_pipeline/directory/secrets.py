"""Stores Client Secrets: as a Fernet token, or as a reference to an environment variable.

The database never has a secret in plain text.

The key is `ROSTER_SECRET_KEY`. While keys are exchanged, it may contain several keys, separated by commas. The first
one seals; all of them open.
"""

import os

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Connection, delete, select, update

from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.tables import connection, connection_test
from roster_pipeline.settings.installation import SecretKey

SECRET_KEY = "ROSTER_SECRET_KEY"  # noqa: S105 - the variable's name
REFERENCE = "env:"


class MissingKey(DirectoryError):
    """There is no key to seal or open secrets, or the key is not valid."""


class WrongKey(DirectoryError):
    """The current key is not the key that sealed this secret."""

    def __init__(self) -> None:
        super().__init__(
            "The stored Client Secret was sealed with another key.",
            "If the key was replaced, restart every process that still has the old one. Otherwise set "
            f"{SECRET_KEY} to the key that was used, or enter the secret again: roster connection set",
        )


def new_key() -> str:
    """A fresh key."""
    return Fernet.generate_key().decode()


def seal(plain: str) -> str:
    """The sealed form of a secret; a reference `env:NAME` stays. Raises MissingKey."""
    if plain.startswith(REFERENCE):
        return plain
    return _fernet(_key()).encrypt(plain.encode()).decode()


def unseal(sealed: str) -> str:
    """Open a sealed secret. Raises MissingKey, WrongKey, and DirectoryError for a variable that is not set."""
    if sealed.startswith(REFERENCE):
        name = sealed.removeprefix(REFERENCE)
        if not os.environ.get(name):
            raise DirectoryError(
                f"The Client Secret is kept in the environment variable {name}, which is not set.",
                f"Set {name} where the pipeline runs, or enter the secret itself: roster connection set",
            )
        return os.environ[name]
    return _opened(sealed, _fernet(_key()))


def rotate(conn: Connection, old: str, new: str) -> int:
    """Seal every stored secret again. Returns how many. Raises WrongKey and changes nothing if one cannot be opened. A
    secret that was typed for a test is deleted with its test if the old key does not open it."""
    before, after = _fernet(old), _fernet(new)
    number = 0
    for table in (connection, connection_test):
        rows = conn.execute(select(table.c.id, table.c.secret).with_for_update()).all()
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
    return number


def _key() -> str:
    given = SecretKey.read().secret_key
    if given:
        return given
    raise MissingKey(
        "There is no key to keep Client Secrets with.",
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
