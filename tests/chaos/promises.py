"""What must be true when everything has calmed down, counted from the database, from fal's bill and from the chats."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from core.domain.job import Job
from core.storage import tables_ledger
from core.storage.database import Database
from tests.bot.process_kit import accepted
from tests.chaos.crowd import Asked, Crowd
from tests.chaos.operator import Operator
from tests.emulators.fal import FalEmulator
from tests.emulators.fal.state import FalJob
from tests.fakes.core import closing

UNIT_NANOUSD = 100_000_000


@dataclass(frozen=True)
class Promise:
    """One line of the table; kept where `broken` is empty."""

    name: str
    broken: Sequence[object]
    said: str = ""


async def _ledger(url: str) -> tuple[int, int]:
    """How many holds are left, and what is charged in nano-dollars."""
    holds, entries = tables_ledger.holds.c, tables_ledger.entries.c
    async with closing(Database.connect(url)) as database, database.read() as connection:
        left = select(func.count()).where(holds.state.in_(("waiting", "running")))
        used = await connection.scalar(select(func.sum(entries.used_nanousd)))
        return await connection.scalar(left) or 0, int(used or 0)


async def examine(operator: Operator, fal: FalEmulator, crowd: Crowd, takeovers_s: Sequence[float]) -> list[Promise]:
    """The table. What a restored backup knew nothing of may be lost, but was neither paid nor posted twice."""
    jobs = await operator.jobs()
    by_seed = {job.parameters.seed: job for job in jobs if not job.parent_id}
    forgotten = set(operator.forgotten.values())
    requests = accepted(fal)
    acknowledged = [asked for asked in crowd.asked if asked.acknowledged and asked.seed not in forgotten]
    lost = [a for a in acknowledged if a.seed not in by_seed and not crowd.said_no(a)]
    twice_paid = [seed for seed, count in requests.items() if count > 1]
    shown = Counter({asked.seed: crowd.pictures(asked.seed) for asked in crowd.asked})
    twice_shown = [seed for seed, count in shown.items() if count > 1]
    unseen = [seed for seed in _not_shown(crowd.asked, by_seed, shown) if seed not in forgotten]
    left, charged_nanousd = await _ledger(operator.url)
    return [
        Promise("paid twice", twice_paid, f"{sum(requests.values())} requests at fal"),
        Promise("posted twice", twice_shown, f"{sum(shown.values())} pictures"),
        Promise("acknowledged and lost", [a.seed for a in lost], f"{len(acknowledged)} of {len(crowd.asked)} taken"),
        Promise("not ended", [job.id for job in jobs if not job.state.terminal], _states(jobs)),
        Promise("made, but not shown", unseen),
        Promise("dead messages", crowd.dead_messages(operator.forgotten)),
        Promise("leaked holds", ["held"] * left),
        await _books(operator, fal, by_seed, charged_nanousd),
        Promise("takeover above 5 s", [s for s in takeovers_s if s > 5], _middle(takeovers_s)),
    ]


def _states(jobs: Sequence[Job]) -> str:
    return ", ".join(f"{count} {state}" for state, count in Counter(job.state.value for job in jobs).most_common())


def _not_shown(asked: Sequence[Asked], by_seed: dict[int | None, Job], shown: Counter[int]) -> list[int]:
    """Jobs that say they were delivered into a chat whose picture is nowhere to be seen."""
    chats = {a.seed for a in asked if a.platform in ("discord", "slack")}
    delivered = [seed for seed in chats if seed in by_seed and by_seed[seed].state.value == "succeeded"]
    return [seed for seed in delivered if not shown[seed]]


async def _books(operator: Operator, fal: FalEmulator, by_seed: dict[int | None, Job], charged_nanousd: int) -> Promise:
    """The ledger, what is marked "to be checked", and after a restore what `reconcile` names, are what fal bills."""
    billed = {int(job.model_input["seed"]): job for job in fal.jobs.values() if job.status == "COMPLETED" and job.units}
    bill_nanousd = sum(_price_nanousd(job) for job in billed.values())
    forgotten = set(operator.forgotten.values())
    named = (await operator.bots[0].command("reconcile"))[1] if forgotten else ""
    wrong: list[object] = []
    after_restore = 0
    for seed, request in billed.items():
        job = by_seed.get(seed)
        receipt = job.receipt if job is not None else None
        marked = job is not None and job.remote is not None and job.remote.possible_double
        unclear = marked or (receipt is not None and receipt.basis == "unknown")
        if unclear or (receipt is not None and receipt.charged_nanousd == _price_nanousd(request)):
            continue
        if seed in forgotten and request.request_id in named:
            after_restore += 1
        else:
            wrong.append((seed, request.request_id, receipt))
    said = f"${charged_nanousd / 1e9:.2f} charged, ${bill_nanousd / 1e9:.2f} billed"
    return Promise("charge is not the bill", wrong, f"{said}, {after_restore} named by reconcile")


def _price_nanousd(job: FalJob) -> int:
    return int(float(job.units or 0) * UNIT_NANOUSD)


def _middle(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    return (
        f"{len(ordered)} takeovers, p50 {ordered[len(ordered) // 2]:.1f} s, max {ordered[-1]:.1f} s" if ordered else ""
    )
