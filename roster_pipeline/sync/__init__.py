"""One school's sync as plain functions (fetch, clean, plan, apply, report), which connect the decisions of the core
with the SIS, the database and the mail; they do not know Dagster. Their errors are messages for people: the school, the
problem, the remedy, never a value from a record."""

import errno
from importlib import import_module
from typing import Any

from roster_pipeline.directory.database import DirectoryError, UnreadableSecret
from roster_pipeline.errors import RosterError, with_keys
from roster_pipeline.oneroster import OneRosterError
from roster_pipeline.oneroster.errors import (
    NotOffered,
    NotOneRoster,
    Redirected,
    SchoolNotFound,
    ServerFailed,
    SignInRefused,
    TlsFailed,
    Unreachable,
)
from roster_pipeline.settings.installation import InstallationError

STEPS = {
    "fetch": "fetch_snapshot",
    "clean_latest": "clean_snapshot",
    "plan_latest": "plan_and_apply",
    "apply_latest": "plan_and_apply",
}
STEP, CREDENTIALS, CONNECTION = "step", "credentials", "connection"
"""The scope of a failure: one school, or all schools of this connection."""
FULL = (errno.ENOSPC, errno.EDQUOT)
"""The error numbers of the system if a disk, or our share of it, is full."""
AWAY = (Unreachable, TlsFailed, ServerFailed, Redirected, NotOneRoster, NotOffered)


def __getattr__(name: str) -> Any:
    """Load a step when somebody needs it, because pages, connection tests and most commands do not need pandas."""
    if name not in STEPS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{STEPS[name]}"), name)


class SyncError(RosterError):
    """A step failed. `str()` is for people; retryable: for schedulers. nothing_found: the SIS shows nothing."""

    def __init__(
        self,
        school: str,
        message: str,
        remedy: str,
        *,
        retryable: bool = False,
        cause: str = STEP,
        nothing_found: bool = False,
    ) -> None:
        super().__init__(message, remedy)
        self.school = school
        self.retryable = retryable
        self.cause = cause
        self.nothing_found = nothing_found

    def __str__(self) -> str:
        return f"{self.school}: {super().__str__()}"


class GaveWay(SyncError):
    """The SIS is slow tonight. The run ended so that runs of other connections can go on. It is requested again."""

    def __init__(self, school: str) -> None:
        super().__init__(
            school,
            "the SIS is slow tonight, so this run gave its place to runs of other connections.",
            "It starts again within 15 minutes and then has more time. You need not do anything.",
            cause=CONNECTION,
        )


def explain(school: str, problem: Exception) -> SyncError:
    """Any failure as a `SyncError`; an unexpected one is only named, because its text may contain data of people."""
    if isinstance(problem, SyncError):
        return problem
    if isinstance(problem, OneRosterError):
        remedy = f"{problem.remedy} Then run: roster test-connection {school}"
        away = isinstance(problem, AWAY) or (isinstance(problem, SignInRefused) and problem.retryable)
        cause = CONNECTION if away else CREDENTIALS if isinstance(problem, SignInRefused) else STEP
        nothing = isinstance(problem, SchoolNotFound)
        return SyncError(
            school, problem.message, remedy, retryable=problem.retryable, cause=cause, nothing_found=nothing
        )
    if isinstance(problem, DirectoryError | InstallationError):
        remedy = with_keys(problem.remedy, school=school)
        cause = CONNECTION if isinstance(problem, UnreadableSecret) else STEP
        return SyncError(school, problem.message, remedy, retryable=problem.retryable, cause=cause)
    if isinstance(problem, OSError) and problem.errno in FULL:
        return SyncError(
            school,
            "the disk of this machine is full",
            "Make room on the disks of ROSTER_HOME and of the folder for temporary files (TMPDIR), and run it again.",
            retryable=True,
        )
    where = _place(problem)
    return SyncError(
        school, f"unexpected {type(problem).__name__} at {where}", "Please report this line; it holds no personal data."
    )


def _place(problem: Exception) -> str:
    """The innermost line of our own code that the exception passed through."""
    place, step = "an unknown line", problem.__traceback__
    while step is not None:
        name = step.tb_frame.f_globals.get("__name__", "")
        if name.startswith("roster_pipeline"):
            place = f"{name}:{step.tb_lineno}"
        step = step.tb_next
    return place
