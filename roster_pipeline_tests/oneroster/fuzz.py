"""Malformed payloads against the client: `python -m roster_pipeline_tests.oneroster.fuzz 10000 [SEED]`.

Prints the seed, so that a failure can be repeated.
"""

import json
import random
import sys
import time

from roster_pipeline_tests.oneroster.payloads import envelope
from roster_pipeline_tests.oneroster.promises import keeps_promises_of_bodies

CUT_SHARE = 0.1
"""The share of bodies that are also cut off or garbled as bytes."""


def body(chance: random.Random) -> bytes:
    """One payload as bytes."""
    written = json.dumps(envelope(chance), ensure_ascii=chance.random() < 0.5)
    encoded = written.encode("utf-8", errors="surrogatepass" if chance.random() < 0.5 else "replace")
    if chance.random() < CUT_SHARE:
        place = chance.randrange(len(encoded) + 1)
        encoded = encoded[:place] + bytes(chance.randrange(256) for _ in range(chance.randrange(4)))
    return encoded


def run(count: int, seed: int) -> None:
    """Raise at the first broken promise, with its number and the seed in a note."""
    for number in range(count):
        chance = random.Random(f"{seed}-{number}")
        payload = body(chance)
        try:
            keeps_promises_of_bodies(payload)
        except Exception as problem:
            problem.add_note(f"payload {number} of seed {seed}: {payload[:2000]!r}")
            raise


def main(arguments: list[str]) -> None:
    count = int(arguments[0]) if arguments else 10_000
    seed = int(arguments[1]) if len(arguments) > 1 else random.SystemRandom().randrange(10**9)
    started = time.perf_counter()
    run(count, seed)
    print(f"{count} payloads, seed {seed}, {time.perf_counter() - started:.1f} s: every promise kept")


if __name__ == "__main__":
    main(sys.argv[1:])
