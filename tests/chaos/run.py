"""One run: start everything, let members ask while disasters strike, calm down, and look at the promises."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bot.process_kit import Bot
from tests.chaos.crowd import Crowd
from tests.chaos.disasters import Disasters
from tests.chaos.network import Network
from tests.chaos.operator import FIRST_KEY, Operator
from tests.chaos.promises import Promise, examine
from tests.emulators.discord import DiscordEmulator, Fault
from tests.emulators.fal import FalEmulator
from tests.emulators.slack import SlackEmulator

_LATENCY_S = 0.08
"""What Discord's API takes for an answer; the emulator alone takes one or two milliseconds."""

_CALM_S = 240.0


@dataclass(frozen=True)
class Report:
    """`disasters` by kind; `errors` that a process logged; `violations` of the services' own rules."""

    promises: Sequence[Promise]
    disasters: Counter[str]
    errors: Sequence[dict[str, Any]]
    violations: Sequence[str]
    rate_limits: Counter[str]
    """How often Slack's own limits were met, by method; what disasters refuse is not counted."""

    @property
    def broken(self) -> list[str]:
        """Every promise that was not kept, with what broke it."""
        return [f"{promise.name}: {list(promise.broken)[:5]}" for promise in self.promises if promise.broken]

    def table(self) -> str:
        """For people."""
        rows = [f"{p.name:<24}{len(p.broken):>4}   {p.said}" for p in self.promises]
        struck = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(self.disasters.items()))
        logged = Counter(str(event.get("event")) for event in self.errors)
        rows += [
            f"{'errors logged':<24}{len(self.errors):>4}   {dict(logged)}" if logged else f"{'errors logged':<24}   0"
        ]
        rows += [f"{'rules broken':<24}{len(self.violations):>4}   {list(self.violations)[:3]}"]
        met = {method: count for method, count in self.rate_limits.items() if count}
        rows += [f"{'rate limits of Slack met':<24}{sum(met.values()):>4}   {met or ''}"]
        return "\n".join([f"disasters: {struck}", *rows, *self.broken])


async def chaos(
    url: str,
    folder: Path,
    *,
    replicas: int,
    seed: int,
    seconds: float | None = None,
    every_s: float = 1.0,
    history: bool = True,
) -> Report:
    """`replicas` processes on the database at `url`; then everything that was begun may end.

    Disasters come at random for `seconds`; without that each of the great ones comes once. `history`: Slack's optional
    scope is granted, by which a message is found that a process posted and was killed before it could note it.
    """
    async with (
        FalEmulator(slots=20, job_s=1.0) as fal, DiscordEmulator() as discord, SlackEmulator() as slack,
        Network(bots := []) as network,
    ):  # fmt: skip
        discord.limits.everything = (10_000, 1.0)
        if history:
            next(token for token in slack.world.tokens.values() if token.kind == "bot").scopes.add("channels:history")
        discord.faults.append(Fault(r".", "delay", times=10**9, seconds=_LATENCY_S))
        await network.cover(fal, discord, slack)
        shared = url.startswith("postgresql")
        env = {
            **fal.env(), "DATABASE_URL": await network.relay_postgres(url) if shared else url, "SECRET_KEY": FIRST_KEY,
            "SHUTDOWN_GRACE_S": "9", "LIMIT_USER_WAITING": "1000",
            **discord.env(), **slack.env(), "ALLOWED_WORKSPACES": "*", "ALLOWED_USERS": "*",
        }  # fmt: skip
        bots += [Bot(folder / f"replica{number}", dict(env)) for number in range(replicas)]
        crowd = Crowd(discord, slack, bots, random.Random(f"crowd {seed}"), every_s)
        operator = Operator(url, folder, bots, random.Random(f"operator {seed}"))
        chance = random.Random(f"disasters {seed}")
        disasters = Disasters(bots, fal, discord, slack, network, operator, chance)
        kinds = disasters.each_once() if seconds is None else disasters.at_random()
        try:
            await asyncio.gather(*(bot.start() for bot in bots))
            await discord.gateway.wait_connected(timeout_s=30)
            await discord.until(lambda: discord.world.commands, 30)
            asking = asyncio.create_task(crowd.ask_on())
            striking = asyncio.create_task(disasters.strike(kinds, crowd.stop))
            await asyncio.wait({asking, striking}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            crowd.stop.set()
            await asyncio.gather(asking, striking)
            fal.faults.clear()
            discord.faults.clear()
            slack.faults.clear()
            slack.delivery.redelivers = False  # after a minute and after five: nothing begins any more
            await _calm(operator, crowd)
            errors = [event for bot in bots for event in bot.errors()]
            violations = [*fal.violations, *discord.violations, *slack.violations]
            promises = await examine(operator, fal, crowd, _takeovers(bots, disasters.kills))
            return Report(promises, disasters.done, errors, violations, slack.limits.met)
        finally:
            await asyncio.gather(*(bot.close() for bot in bots))


async def _calm(operator: Operator, crowd: Crowd) -> None:
    """Until every job has ended and every message says so, for three looks; or `_CALM_S` are over."""
    deadline, quiet = time.monotonic() + _CALM_S, 0
    while time.monotonic() < deadline and quiet < 3:
        jobs = await operator.jobs()
        over = all(job.state.terminal for job in jobs) and not crowd.dead_messages(operator.forgotten)
        quiet = quiet + 1 if over else 0
        await asyncio.sleep(1)


def _takeovers(bots: Sequence[Bot], kills: Sequence[tuple[float, str]]) -> list[float]:
    """Seconds from each kill to the first job of that process that another one took; a lone process has none."""
    if len(bots) == 1:
        return []
    taken: dict[str, float] = {}
    for event in (event for bot in bots for event in bot.events if event.get("event") == "job_taken_over"):
        at = datetime.fromisoformat(event["timestamp"]).timestamp()
        taken[event["process"]] = min(at, taken.get(event["process"], at))
    return [taken[process] - at for at, process in kills if process in taken]
