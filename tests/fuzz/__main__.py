"""Runs every target for a bounded time and says which input broke one: `python -m tests.fuzz --seconds 60`.

A finding is an exception that the target does not allow, an accepted forgery, or an input that takes too long. Its
seed and number are printed; `--seed` repeats a run.
"""

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from pathlib import Path

import structlog

from tests.fuzz.targets import TARGETS, Target

SLOW_S = 2.0
"""Of this process's own time; far above what any input may take, so that a crowded machine finds nothing."""


async def fuzz(make: Target, seed: int, *, seconds: float, most: int) -> tuple[int, str]:
    """Feed one target until time or number is over; how many inputs, and the first finding or an empty text."""
    until = time.monotonic() + seconds
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        async with make(Path(folder)) as feed:
            while count < most and time.monotonic() < until:
                count += 1
                began = time.process_time()
                try:
                    await feed(random.Random(f"{seed}/{count}"))
                except Exception as error:
                    return count, f"input {count}: {type(error).__name__}: {str(error)[:200]}"
                if time.process_time() - began > SLOW_S:
                    return count, f"input {count}: took more than {SLOW_S} s"
    return count, ""


def main() -> int:
    """The exit code: 1 where any target has a finding."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; default all")
    options.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    options.add_argument("--seed", type=int, default=None)
    chosen = options.parse_args()
    names = chosen.targets or list(TARGETS)
    if unknown := [name for name in names if name not in TARGETS]:
        options.error(f"no such target: {', '.join(unknown)}")
    seed = random.SystemRandom().randrange(2**32) if chosen.seed is None else chosen.seed
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    failed = False
    for name in names:
        share_s = chosen.seconds / len(names)
        count, finding = asyncio.run(fuzz(TARGETS[name], seed, seconds=share_s, most=10**9))
        print(f"{name:10} {count:8} inputs, seed {seed}: {finding or 'nothing found'}", flush=True)
        failed = failed or bool(finding)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
