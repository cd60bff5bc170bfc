"""`python -m tests.attacks`: every attack against a running bot, and a table of what happened (Markdown).

It needs `unshare` and `ip`: inside a network namespace of its own a web server of the attacker has a public address.
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.attacks.doors import ATTACKS as AT_THE_DOOR
from tests.attacks.elsewhere import ADDRESSES, Elsewhere
from tests.attacks.impostors import ATTACKS as BY_IMPOSTORS
from tests.attacks.members import ATTACKS as BY_MEMBERS
from tests.attacks.scene import Sampler, Seen, scene_in, watch
from tests.attacks.strangers import ATTACKS as BY_STRANGERS

_NICE = 10
"""Attackers have machines of their own; here they stand behind the bot."""


def main() -> int:
    """Read the arguments, run, print; 1 where something anonymous left a row or a traceback."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("--only", default="", help="attacks whose row contains this")
    parser.add_argument("--size", type=int, help="how many times, instead of each attack's own number")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.inside:
        if not (shutil.which("unshare") and shutil.which("ip")):
            print("This needs `unshare` and `ip`.", file=sys.stderr)
            return 2
        added = "".join(f"ip addr add {address}/32 dev lo && " for address in ADDRESSES)
        made = f'ip link set lo up && {added} exec "$@"'
        own = [sys.executable, "-m", "tests.attacks", "--inside", *sys.argv[1:]]
        os.execvp("unshare", ["unshare", "-Urn", "sh", "-c", made, "sh", *own])
    return asyncio.run(_run(given.only, given.size))


async def _run(only: str, size: int | None) -> int:
    with tempfile.TemporaryDirectory(prefix="attacks-") as name:
        async with scene_in(Path(name), Elsewhere(ADDRESSES[0], 80), ADDRESSES) as scene:
            sampler = await Sampler.of(scene.bot.port)
            os.nice(_NICE)
            every = (*AT_THE_DOOR, *BY_STRANGERS, *BY_IMPOSTORS, *BY_MEMBERS)
            chosen = [attack for attack in every if only in attack.said]
            print(
                "| attack | `/healthz` median, most (ms) | rows left | disk at most | what happened |\n"
                + "|---" * 5
                + "|"
            )
            broken = 0
            for attack in chosen:
                seen = await watch(scene, sampler, attack, size or attack.size)
                print(line(seen), flush=True)
                broken += bool(seen.new_tracebacks or (seen.new_rows and not attack.leaves_jobs))
            await sampler.close()
            return 1 if broken else 0


def line(seen: Seen) -> str:
    """One row of the table."""
    health = seen.health
    lost = f", {health['failed']:.0f} unanswered" if health["failed"] else ""
    rows = ", ".join(f"{count} {name}" for name, count in sorted(seen.new_rows.items())) or "0"
    traces = f"; {seen.new_tracebacks} TRACEBACKS" if seen.new_tracebacks else ""
    answered = f"{health['p50_ms']:.0f}, {health['max_ms']:.0f}{lost}"
    return (
        f"| {seen.attack.said} | {answered} | {rows} | {seen.most_disk_bytes / 1e6:.0f} MB | {seen.happened}{traces} |"
    )


if __name__ == "__main__":
    sys.exit(main())
