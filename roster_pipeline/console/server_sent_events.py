"""Server-sent events: a page follows a test or a run. Any process can serve it, because it reads the row in the
database. Every event has a number, so a browser that lost the stream gets each later event once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from roster_pipeline.console.session import TooMany, still_there, viewer
from roster_pipeline.directory.database import DirectoryError

LOOK_EVERY = 0.4
"""Seconds between two looks at the row."""
STILL_THERE_EVERY = 15.0
"""Seconds after which a comment is sent. A proxy might close a connection on which nothing is sent."""
WHO_EVERY = 5.0
"""Seconds after which the stream checks that the person is still signed in."""
LONGEST = 900.0
"""Seconds after which a stream ends by itself. The browser then connects again, and has to show again who it is."""
MOST_STREAMS = 8
"""Streams of one person in one process of the console; each reads the database twice a second."""
TRY_AGAIN_SECONDS = 60
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


@dataclass(frozen=True)
class Event:
    """One piece for the page. kind: add, state or show (`live.js`). position: how far a reader is after this event."""

    kind: str
    html: str
    position: str


@dataclass(frozen=True)
class Seen:
    """The result of one look. ended: nothing will follow."""

    events: list[Event]
    ended: bool


Look = Callable[[str], Seen]
"""A function that gives what is new since a position. The empty text is the beginning."""


def stream(request: Request, look: Look) -> StreamingResponse:
    """The answer to an EventSource. look: called again and again, in a thread. Raises TooMany."""
    going: Counter[int] = request.app.state.streams
    account = viewer(request).id
    if going[account] >= MOST_STREAMS:
        raise TooMany(TRY_AGAIN_SECONDS)

    async def counted() -> AsyncIterator[str]:
        if going[account] >= MOST_STREAMS:  # requests of the same moment have all passed the check above
            return
        going[account] += 1
        try:
            async for event in _events(request, look, request.headers.get("last-event-id", "")):
                yield event
        finally:
            going[account] -= 1

    return StreamingResponse(counted(), media_type="text/event-stream", headers=HEADERS)


async def _events(request: Request, look: Look, position: str) -> AsyncIterator[str]:
    clock = asyncio.get_running_loop().time
    began = spoke = asked = clock()
    yield "retry: 1000\n\n"
    while clock() - began < LONGEST:
        try:
            if clock() - asked > WHO_EVERY:
                asked = clock()
                if not await run_in_threadpool(still_there, request):
                    return  # the browser connects again, and has to show who it is
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
    """The event in the format of the standard: one `data` line per line."""
    data = "\n".join(f"data: {line}" for line in event.html.splitlines() if line.strip())
    return f"id: {event.position}\nevent: {event.kind}\n{data or 'data:'}\n\n"
