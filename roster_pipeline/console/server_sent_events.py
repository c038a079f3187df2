"""Server-sent events: a page follows a test or a run by looking at its row in the database, in any process.

Every event has a number, so that a browser that lost the stream gets what came after, and nothing twice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from roster_pipeline.console.auth.session import TooMany, still_there
from roster_pipeline.console.auth.viewer import viewer
from roster_pipeline.directory.database import DirectoryError

LOOK_EVERY = 0.4
"""Seconds between two looks."""
STILL_THERE_EVERY = 15.0
"""Seconds after which a proxy that hears nothing might close; then a comment is sent."""
WHO_EVERY = 5.0
"""Seconds after which it is looked up whether the session still goes on; who was signed out sees no more."""
LONGEST = 900.0
"""Seconds after which a stream ends by itself. The browser comes again, and is asked again who it is."""
MOST_STREAMS = 8
"""At once, of one person and console process: each looks into the database twice a second."""
TRY_AGAIN_SECONDS = 60
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


@dataclass(frozen=True)
class Event:
    """One piece for the page. kind: add, state or show (`live.js`). position: how far one has seen, with it."""

    kind: str
    html: str
    position: str


@dataclass(frozen=True)
class Seen:
    """What one look found. ended: nothing will follow."""

    events: list[Event]
    ended: bool


Look = Callable[[str], Seen]
"""What is new since a position; the empty text is the beginning."""


def stream(request: Request, look: Look) -> StreamingResponse:
    """The answer to an EventSource. look: asked again and again, in a thread. Raises TooMany beyond `MOST_STREAMS`."""
    going: Counter[int] = request.app.state.streams
    account = viewer(request).account_id
    if going[account] >= MOST_STREAMS:
        raise TooMany(TRY_AGAIN_SECONDS)

    async def counted() -> AsyncIterator[str]:
        going[account] += 1
        try:
            async for event in _events(request, look, request.headers.get("last-event-id", "")):
                yield event
        finally:
            going[account] -= 1

    return StreamingResponse(
        counted(),
        media_type="text/event-stream",
        headers=HEADERS,
    )


async def _events(request: Request, look: Look, position: str) -> AsyncIterator[str]:
    clock = asyncio.get_running_loop().time
    began = spoke = asked = clock()
    yield "retry: 1000\n\n"
    while clock() - began < LONGEST:
        try:
            if clock() - asked > WHO_EVERY:
                asked = clock()
                if not await run_in_threadpool(still_there, request):
                    return  # the browser comes again, and is asked who it is
            seen = await run_in_threadpool(look, position)
        except DirectoryError:
            return  # the database is away; the browser asks again
        for event in seen.events:
            position, spoke = event.position, clock()
            yield written(event)
        if seen.ended:
            yield "event: end\ndata: end\n\n"
            return
        if clock() - spoke > STILL_THERE_EVERY:
            spoke = clock()
            yield ": still there\n\n"
        await asyncio.sleep(LOOK_EVERY)


def written(event: Event) -> str:
    """The event as the standard writes it: one `data` line per line."""
    data = "\n".join(f"data: {line}" for line in event.html.splitlines() if line.strip())
    return f"id: {event.position}\nevent: {event.kind}\n{data or 'data:'}\n\n"
