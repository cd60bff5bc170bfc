"""`python -m tests.chaos --seconds 600`: run it and print the table of promises; exit code 1 where one is broken."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.chaos.run import chaos
from tests.pg import fresh_database, server


def main() -> int:
    """Read the arguments, run, say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="on each database (default 60)")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1_000_000), help="to strike in the same order again"
    )
    given = parser.parse_args()
    kinds = ("sqlite", "postgresql") if given.database == "both" else (given.database,)
    return max(asyncio.run(_run(kind, given.seconds, given.seed)) for kind in kinds)


async def _run(kind: str, seconds: float, seed: int) -> int:
    print(f"{kind}: {seconds:g} s, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, ExitStack() as stack:
        folder = Path(name)
        if kind == "sqlite":
            report = await chaos(f"sqlite:///{folder / 'bot.db'}", folder, seconds=seconds, replicas=1, seed=seed)
        else:
            async with fresh_database(stack.enter_context(server())) as url:
                report = await chaos(url, folder, seconds=seconds, replicas=2, seed=seed)
    print(report.table(), flush=True)
    return 1 if report.broken or report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
