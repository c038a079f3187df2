"""What the tests of the client have in common: a served SIS, a client for it, and everything that a pull brought."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from roster_pipeline.oneroster import Batch, Client, Clock, Endpoint, Limits, Proof, Wanted, pull
from roster_pipeline.simulator import District, Faults, SimulatorThread, Sis, create_app
from roster_pipeline.simulator.sis import DEMO_CREDENTIALS

EVERYTHING = Wanted(contacts=True)
QUICK = Limits(
    connect_seconds=5, read_seconds=3, response_seconds=5, response_bytes=20_000_000, pages=200, waiting_budget=2_000
)


class TestClock:
    """Time that passes only when somebody waits; `waits` is what was asked for."""

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
class Told:
    """Everything that one pull brought."""

    orgs: list[dict[str, Any]] = field(default_factory=list)
    users: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    proof: Proof | None = None

    @property
    def complete(self) -> bool:
        return self.proof is not None and self.proof.complete

    @property
    def problems(self) -> tuple[str, ...]:
        return self.proof.problems if self.proof is not None else ()

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
    """A running simulator and the ways to ask it."""

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

    def as_new(self) -> None:
        """No faults, no tokens, no log, and a clock that nobody has waited on."""
        self.sis.access.tokens = self.sis.tokens = self.tokens
        self.sis.reset()
        self.time = TestClock()

    def endpoint(self, **settings: Any) -> Endpoint:
        known = {"base_url": self.url, "client_id": "demo-client", "client_secret": "demo-secret", "page_size": 50}
        return Endpoint(**({**known, "allow_private": True, "limits": QUICK} | settings))

    def client(self, **settings: Any) -> Client:
        return Client(self.endpoint(**settings), self.time.clock)

    def told(self, wanted: Wanted = EVERYTHING, **settings: Any) -> Told:
        """Pull with a client of its own."""
        with self.client(**settings) as client:
            return told_by(client, wanted)

    @property
    def requests(self) -> list[Any]:
        return list(self.sis.log.entries)

    def asked(self, resource: str) -> list[Any]:
        return [entry for entry in self.requests if entry.resource == resource]


def told_by(client: Client, wanted: Wanted = EVERYTHING) -> Told:
    """Pull with this client, and keep everything."""
    told = Told()

    def keep(batches: Iterable[Batch]) -> None:
        told.orgs, told.users, told.rejects = [], [], []
        for batch in batches:
            (told.orgs if batch.kind == "org" else told.users).extend(batch.records)
            told.rejects.extend(batch.rejects)

    pulled = pull(client, wanted)
    pulled.into(keep)
    told.proof = pulled.proof
    return told


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
