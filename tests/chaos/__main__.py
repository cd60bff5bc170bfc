"""`python -m tests.chaos --seconds 600`: run it and print the table of promises; exit code 1 where one is broken."""

import argparse
import asyncio
import logging
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
    parser.add_argument("--replicas", type=int, default=2, help="on PostgreSQL (default 2); SQLite has one")
    parser.add_argument(
        "--without-history", action="store_true", help="withhold Slack's optional scope channels:history"
    )
    parser.add_argument("--keep", type=Path, help="leave logs and data in this folder")
    given = parser.parse_args()
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # connections to the emulators that were cut
    kinds = ("sqlite", "postgresql") if given.database == "both" else (given.database,)
    return max(asyncio.run(_run(kind, given)) for kind in kinds)


async def _run(kind: str, given: argparse.Namespace) -> int:
    print(f"{kind}: {given.seconds:g} s, seed {given.seed}", flush=True)
    how = {"seconds": given.seconds, "seed": given.seed, "history": not given.without_history}
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, ExitStack() as stack:
        folder = given.keep / kind if given.keep else Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        if kind == "sqlite":
            report = await chaos(f"sqlite:///{folder.resolve() / 'bot.db'}", folder, replicas=1, **how)
        else:
            async with fresh_database(stack.enter_context(server())) as url:
                report = await chaos(url, folder, replicas=given.replicas, **how)
    print(report.table(), flush=True)
    return 1 if report.broken or report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
