"""Helpers of the client's tests: a served SIS, a client for it, and the results of a pull."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from roster_pipeline.oneroster import Batch, CheckItem, Client, Clock, Endpoint, Limits, Proof, Wanted, pull
from roster_pipeline.oneroster.connection_test import check_schools
from roster_pipeline.oneroster.connection_test_items import TestedSchool
from roster_pipeline.simulator import District, Faults, SimulatorThread, Sis, create_app
from roster_pipeline.simulator.sis import DEMO_CREDENTIALS

EVERYTHING = Wanted(contacts=True)
QUICK = Limits(
    connect_seconds=5, read_seconds=3, response_seconds=5, response_bytes=20_000_000, pages=200, waiting_budget=2_000
)


def checked(client: Client, school: str, **of: Any) -> dict[str, CheckItem]:
    """The items of a test of one school, by name. of: members of `TestedSchool`."""
    return {item.name: item for _, item in check_schools(client, [TestedSchool(school, **of)])}


class TestClock:
    """A clock that moves only while the client waits. waits: its waits in seconds."""

    __test__ = False

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._moment = 1_000.0

    @property
    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self._moment, sleep=self.sleep, now=self.now, chance=lambda: 0.5)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._moment - 1_000.0)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self._moment += seconds


@dataclass
class Pulled:
    """Everything that one pull brought."""

    orgs: list[dict[str, Any]]
    users: list[dict[str, Any]]
    rejects: list[dict[str, Any]]
    proof: Proof

    @property
    def complete(self) -> bool:
        return self.proof.complete

    @property
    def problems(self) -> tuple[str, ...]:
        return self.proof.problems

    @property
    def ids(self) -> set[str]:
        return {user["sourcedId"] for user in self.users}

    @property
    def rules(self) -> set[str]:
        return {reject["rule"] for reject in self.rejects}

    def user(self, sourced_id: str) -> dict[str, Any]:
        return next(user for user in self.users if user["sourcedId"] == sourced_id)

    def of(self, *roles: str, org: str | None = None) -> list[dict[str, Any]]:
        return [
            user
            for user in self.users
            if any(entry["role"] in roles and org in (None, entry["org"]) for entry in user["roles"])
        ]


class Served:
    """A running simulator, and clients for it."""

    def __init__(self, thread: SimulatorThread, sis: Sis) -> None:
        self.thread = thread
        self.sis = sis
        self.url = thread.base_url + sis.prefix
        self.time = TestClock()
        self.tokens = sis.tokens
        self.stopped = False

    def stop(self) -> None:
        self.thread.stop()
        self.stopped = True

    def serves(self, versions: Sequence[str], prefix: str) -> bool:
        return self.sis.versions == tuple(versions) and self.sis.prefix == prefix

    def reset(self) -> None:
        """Reset faults, tokens, log and clock."""
        self.sis.access.tokens = self.sis.tokens = self.tokens
        self.sis.reset()
        self.time = TestClock()

    def endpoint(self, **settings: Any) -> Endpoint:
        defaults: dict[str, Any] = {"client_id": "demo-client", "client_secret": "demo-secret", "page_size": 50}
        return Endpoint(**{"base_url": self.url, **defaults, "allow_private": True, "limits": QUICK, **settings})

    def client(self, **settings: Any) -> Client:
        return Client(self.endpoint(**settings), self.time.clock)

    def pull(self, wanted: Wanted = EVERYTHING, **settings: Any) -> Pulled:
        """Pull with a new client."""
        with self.client(**settings) as client:
            return pulled_by(client, wanted)

    @property
    def requests(self) -> list[Any]:
        return list(self.sis.log.entries)

    def requests_for(self, resource: str) -> list[Any]:
        return [entry for entry in self.requests if entry.resource == resource]


Start = Callable[..., Served]
"""The fixture `sis`: serves a district with faults, and other parameters of `serve`."""


def pulled_by(client: Client, wanted: Wanted = EVERYTHING) -> Pulled:
    """Everything that a pull with this client brings."""

    def kept(batches: Iterable[Batch]) -> tuple[list[Any], list[Any], list[Any]]:
        orgs: list[Any] = []
        users: list[Any] = []
        rejects: list[Any] = []
        for batch in batches:
            (orgs if batch.kind == "org" else users).extend(batch.records)
            rejects.extend(batch.rejects)
        return orgs, users, rejects

    pulled = pull(client, wanted)
    return Pulled(*pulled.into(kept), pulled.proof)


def serve(
    district: District,
    faults: Sequence[str] = (),
    *,
    versions: Sequence[str] = ("1.2",),
    prefix: str = "",
    credentials: Any = DEMO_CREDENTIALS,
    tls: Any = None,
) -> Served:
    """Serve a district on a loopback port."""
    app = create_app(district, versions=versions, prefix=prefix, credentials=credentials, faults=Faults(*faults))
    return Served(SimulatorThread(app, tls=tls).start(), app.state.sis)


def quicker(limits: Limits = QUICK, **changes: Any) -> Limits:
    """The tests' limits with some of them changed."""
    return replace(limits, **changes)
