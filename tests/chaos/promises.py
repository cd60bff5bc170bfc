"""What must be true when everything has calmed down, counted from the database, from fal's bill and from the chats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from core.domain.job import Job
from core.ports.clock import SystemClock
from core.storage import tables, tables_ledger
from core.storage.database import Database
from core.storage.encryption import Vault
from core.storage.jobs import SqlJobStore
from tests.bot.process_kit import accepted
from tests.chaos.crowd import Asked, Crowd
from tests.emulators.fal import FalEmulator

UNIT_NANOUSD = 100_000_000


@dataclass(frozen=True)
class Promise:
    """One line of the table; kept where `broken` is empty."""

    name: str
    broken: Sequence[object]
    said: str = ""


async def stored_jobs(url: str, key: str) -> list[Job]:
    """Every job in the database."""
    database = Database.connect(url)
    try:
        store = SqlJobStore(database, Vault(key), SystemClock())
        async with database.read() as connection:
            ids = list((await connection.scalars(select(tables.jobs.c.id))).all())
        return [job for job in [await store.get(job_id) for job_id in ids] if job is not None]
    finally:
        await database.close()


async def _holds(url: str) -> int:
    database = Database.connect(url)
    try:
        async with database.read() as connection:
            still = select(func.count()).where(tables_ledger.holds.c.state.in_(("waiting", "running")))
            return int(await connection.scalar(still) or 0)
    finally:
        await database.close()


async def _charged_nanousd(url: str) -> int:
    database = Database.connect(url)
    try:
        async with database.read() as connection:
            return int(await connection.scalar(select(func.sum(tables_ledger.entries.c.used_nanousd))) or 0)
    finally:
        await database.close()


async def examine(url: str, key: str, fal: FalEmulator, crowd: Crowd, takeovers_s: Sequence[float]) -> list[Promise]:
    """The table."""
    jobs = await stored_jobs(url, key)
    by_seed = {job.parameters.seed: job for job in jobs if not job.parent_id}
    requests = accepted(fal)
    acknowledged = [asked for asked in crowd.asked if asked.acknowledged]
    lost = [a for a in acknowledged if a.seed not in by_seed and not crowd.said_no(a)]
    twice_paid = [seed for seed, count in requests.items() if count > 1]
    shown = Counter({asked.seed: crowd.pictures(asked.seed) for asked in crowd.asked})
    return [
        Promise("paid twice", twice_paid, f"{sum(requests.values())} requests at fal"),
        Promise(
            "posted twice", [seed for seed, count in shown.items() if count > 1], f"{sum(shown.values())} pictures"
        ),
        Promise("acknowledged and lost", [a.seed for a in lost], f"{len(acknowledged)} of {len(crowd.asked)} taken"),
        Promise("not ended", [job.id for job in jobs if not job.state.terminal], _states(jobs)),
        Promise("made, but not shown", _not_shown(crowd.asked, by_seed, shown)),
        Promise("dead messages", crowd.dead_messages()),
        Promise("leaked holds", ["held"] * await _holds(url)),
        await _books(url, fal, by_seed),
        Promise("takeover above 5 s", [s for s in takeovers_s if s > 5], _middle(takeovers_s)),
    ]


def _states(jobs: Sequence[Job]) -> str:
    return ", ".join(f"{count} {state}" for state, count in Counter(job.state.value for job in jobs).most_common())


def _not_shown(asked: Sequence[Asked], by_seed: dict[int | None, Job], shown: Counter[int]) -> list[int]:
    """Jobs that say they were delivered into a chat whose picture is nowhere to be seen."""
    chats = {a.seed for a in asked if a.platform in ("discord", "slack")}
    delivered = [seed for seed in chats if seed in by_seed and by_seed[seed].state.value == "succeeded"]
    return [seed for seed in delivered if not shown[seed]]


async def _books(url: str, fal: FalEmulator, by_seed: dict[int | None, Job]) -> Promise:
    """The ledger and what is marked "to be checked" are what fal bills."""
    billed = {int(job.model_input["seed"]): job for job in fal.jobs.values() if job.status == "COMPLETED" and job.units}
    bill_nanousd = sum(int(float(job.units or 0) * UNIT_NANOUSD) for job in billed.values())
    charged_nanousd = await _charged_nanousd(url)
    wrong: list[object] = []
    for seed, request in billed.items():
        job = by_seed.get(seed)
        receipt = job.receipt if job is not None else None
        named = job is not None and job.remote is not None and job.remote.possible_double
        right = receipt is not None and receipt.charged_nanousd == int(float(request.units or 0) * UNIT_NANOUSD)
        if not (right or named or (receipt is not None and receipt.basis == "unknown")):
            wrong.append((seed, receipt))
    return Promise(
        "charge is not the bill", wrong, f"${charged_nanousd / 1e9:.2f} charged, ${bill_nanousd / 1e9:.2f} billed"
    )


def _middle(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    return (
        f"{len(ordered)} takeovers, p50 {ordered[len(ordered) // 2]:.1f} s, max {ordered[-1]:.1f} s" if ordered else ""
    )
