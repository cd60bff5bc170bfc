"""`python -m tests.attacks`: every attack against a running bot, and a table of what happened (Markdown).

It needs `unshare` and `ip`: inside a network namespace of its own a web server of the attacker has a public address.
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.attacks import absurd, authority, sockets
from tests.attacks.characters import ATTACKS as BY_CHARACTERS
from tests.attacks.doors import ATTACKS as AT_THE_DOOR
from tests.attacks.elsewhere import ADDRESSES, Elsewhere
from tests.attacks.impostors import ATTACKS as BY_IMPOSTORS
from tests.attacks.members import ATTACKS as BY_MEMBERS
from tests.attacks.names import ATTACKS as BY_NAMES
from tests.attacks.restless import ATTACKS as BY_THE_RESTLESS
from tests.attacks.scene import Attack, Sampler, Seen, scene_in, watch
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
        names = "f=$(mktemp) && echo nameserver 127.0.0.1 >$f && mount --bind $f /etc/resolv.conf && rm $f"
        made = f'ip link set lo up && {added} {names} && exec "$@"'
        own = [sys.executable, "-m", "tests.attacks", "--inside", *sys.argv[1:]]
        os.execvp("unshare", ["unshare", "-Urnm", "sh", "-c", made, "sh", *own])
    return asyncio.run(_run(given.only, given.size))


async def _run(only: str, size: int | None) -> int:
    print("| attack | `/healthz` median, most (ms) | rows left | disk at most | what happened |\n" + "|---" * 5 + "|")
    usual = (*AT_THE_DOOR, *BY_STRANGERS, *BY_IMPOSTORS, *BY_NAMES, *BY_THE_RESTLESS, *BY_MEMBERS)
    broken = 0
    others = ((kind.ATTACKS, kind.SETTINGS) for kind in (authority, absurd, sockets))
    # The odd numbers are somebody's who may pause the bot, and do: nobody comes after them.
    for attacks, settings in ((usual, {}), *others, (BY_CHARACTERS, {})):
        chosen = [attack for attack in attacks if only in attack.said]
        if chosen:
            broken += await _against_one_bot(chosen, size, settings)
    return 1 if broken else 0


async def _against_one_bot(attacks: Sequence[Attack], size: int | None, settings: Mapping[str, str]) -> int:
    """How many of them left what they must not."""
    broken = 0
    with tempfile.TemporaryDirectory(prefix="attacks-") as name:
        async with scene_in(Path(name), Elsewhere(ADDRESSES[0], 80), ADDRESSES, **settings) as scene:
            sampler = await Sampler.of(scene.bot.port)
            os.nice(_NICE)
            for attack in attacks:
                seen = await watch(scene, sampler, attack, size or attack.size)
                print(line(seen), flush=True)
                broken += bool(seen.new_tracebacks or (seen.new_rows and not attack.leaves_jobs))
            await sampler.close()
    return broken


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
