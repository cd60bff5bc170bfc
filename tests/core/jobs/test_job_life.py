"""Property: wherever the process dies, a job is paid for at most once, ends once, and its money is right.

A story is a job and what happens to it. The fuse kills the process just before or after chosen calls of any port, and a
new process goes on from the engine's checkpoint or from the job's row alone.
"""

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.domain.errors import ContentRejected, ModelFailed, UpscaleError
from core.domain.job import Delivery, Job, JobState, Source
from core.domain.limits import ScopeKind
from core.jobs.steps import PipelineSettings
from tests.core.jobs.pipeline_kit import PRICE, USD, World
from tests.core.storage.ledger_kit import day_usd, running
from tests.fakes.process import Crash
from tests.fakes.upscaler import Submit
from tests.pg import fresh_database, open_database
from tests.typed import unwrap

OUTCOMES: dict[str, UpscaleError | None] = {
    "picture": None,
    "refused_free": ContentRejected(billed=False),
    "failed_billed": ModelFailed(kind="x", billed=True, billed_units=Decimal(2)),
}


@dataclass(frozen=True)
class Story:
    """What happens to one job. `crashes` counts the instants that each process lives through.

    `grouped`: the engine writes down as little as it really does, else every step.
    """

    submits: tuple[Submit, ...]
    outcome: str
    dear: bool
    crashes: tuple[int, ...]
    from_row: bool
    other_machine: bool
    cancel_after: int | None
    grouped: bool = True


def stories() -> st.SearchStrategy[Story]:
    submit = st.sampled_from(["ok", "ok", "lost", "dropped", "refused", "busy", "not_sent"])
    return st.builds(
        Story,
        submits=st.lists(submit, max_size=2).map(tuple),
        outcome=st.sampled_from(sorted(OUTCOMES)),
        dear=st.booleans(),
        crashes=st.lists(st.integers(1, 70), max_size=4).map(tuple),
        from_row=st.booleans(),
        other_machine=st.booleans(),
        cancel_after=st.none() | st.integers(0, 4),
        grouped=st.booleans(),
    )


async def go_on(w: World, story: Story) -> None:
    """Start a new process, with the engine's checkpoints or (`from_row`) only with the job's row."""
    w.fuse.left = 0
    await w.crash()
    if story.other_machine:
        w.forget_files()
    if story.from_row and await w.store.orphaned(w.ctx.lease.token, updated_before=w.clock.now() + 1):
        for name in w.engine.unfinished():
            w.engine.steps[name] = "end"
    w.clock.at += 60
    await w.maintenance.pick_up()
    await w.maintenance.expire_questions()


async def press(w: World, job: Job, story: Story) -> None:
    """Confirm the price once it is asked for."""
    stored = await w.job(job.id)
    if story.dear and stored.state is JobState.AWAITING_CONFIRMATION:
        await w.service.confirm(job.id, job.requester)


async def live_through(w: World, job: Job, story: Story) -> None:
    """Run, crash and restart until the job has ended."""
    crashes = list(story.crashes)
    for _ in range(40):
        w.fuse.left = crashes.pop(0) if crashes else 0
        try:
            await cancel_in_time(w, job, story)
            await w.drive()
            await press(w, job, story)
            await w.drive()
        except Crash:
            await go_on(w, story)
            continue
        if (await w.job(job.id)).state.terminal and not w.engine.unfinished():
            return
        await go_on(w, story)
    raise AssertionError(f"the job does not end: {(await w.job(job.id)).state}")


async def cancel_in_time(w: World, job: Job, story: Story) -> None:
    """Cancel after so many steps, unless the job has passed the point."""
    if story.cancel_after is None or (await w.job(job.id)).cancel_requested_by:
        return
    name = f"{job.id}:request"
    for _ in range(story.cancel_after):
        if w.engine.steps[name] != "end":
            await w.run_step(name)
    stored = await w.job(job.id)
    if not stored.state.terminal and stored.state is not JobState.DELIVERING:
        await w.service.cancel(job.id, job.requester)


async def judge(w: World, job: Job, story: Story) -> None:
    """Check what holds at the end of every story."""
    accepted = w.upscaler.accepted[job.id]
    money = await w.money(job.id)
    ended = await w.job(job.id)
    message = w.adapter.message(job)
    assert accepted <= 1, "paid twice"
    assert money.charged == unwrap(ended.receipt).charged_nanousd, "the receipt is not what was charged"
    assert (money.held, money.open_holds) == (0, 0), "something is still held"
    assert money.settlements <= 1
    if accepted == 0:
        assert money.charged == 0, "charged for nothing"
        assert ended.state is not JobState.SUCCEEDED
    if ended.delivery == Delivery("kept"):  # cancelled too late
        assert (message.endings, message.last.kind, ended.state) == (set(), "closed", JobState.CANCELLED)
        assert ended.cancel_requested_by
    else:
        assert len(message.endings) == 1, f"two different ends: {message.endings}"
        assert f":{ended.state}" in next(iter(message.endings))
        assert message.last.kind in {"finished", "failed"}, "something came after the end"
    if accepted and story.cancel_after is None:
        expected = JobState.SUCCEEDED if story.outcome == "picture" else JobState.FAILED
        charges = {"picture": PRICE, "refused_free": 0, "failed_billed": 2 * PRICE}
        assert (ended.state, money.charged) == (expected, charges[story.outcome])


async def play(folder: Path, url: str, story: Story) -> bool:
    """Whether the last crash was reached before the end."""
    rules = (day_usd(ScopeKind.USER, 1_000_000), running(ScopeKind.USER, 2))
    quick = PipelineSettings(cancel_grace_s=0.02, confirm_above_nanousd=PRICE // 2 if story.dear else USD)
    w = World(folder, url, *rules, settings=quick, prefix=secrets.token_hex(4))
    await w.open()
    try:
        w.grouped = story.grouped
        w.upscaler.script.extend(story.submits)
        w.upscaler.outcomes.append(OUTCOMES[story.outcome])
        source = Source("link", url=f"https://example.org/{w.prefix}") if story.other_machine else w.upload()
        job = await w.ask(source=source)
        async with asyncio.timeout(60):
            await live_through(w, job, story)
        await judge(w, job, story)
        return w.fuse.left == 0
    finally:
        w.fuse.left = 0
        await w.close()


async def _make_tables(url: str) -> None:
    await (await open_database(url)).close()


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("lives")
    url = f"sqlite:///{folder / 'bot.db'}"
    asyncio.run(_make_tables(url))
    return folder, url


@pytest.fixture(scope="module")
def postgres(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    with asyncio.Runner() as runner:
        database = fresh_database(postgres_server)
        url = runner.run(database.__aenter__())
        runner.run(_make_tables(url))
        try:
            yield tmp_path_factory.mktemp("lives"), url
        finally:
            runner.run(_leave(database))


async def _leave(database: Any) -> None:
    await database.__aexit__(None, None, None)


ANY_TIME = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)


@settings(ANY_TIME, max_examples=60)
@given(story=stories())
def test_wherever_it_dies_a_job_is_paid_once_and_ends_once(sqlite: tuple[Path, str], story: Story) -> None:
    asyncio.run(play(*sqlite, story))


@settings(ANY_TIME, max_examples=12)
@given(story=stories())
def test_the_same_holds_on_postgresql(postgres: tuple[Path, str], story: Story) -> None:
    asyncio.run(play(*postgres, story))


def test_every_single_instant_of_a_plain_job_may_be_its_last(sqlite: tuple[Path, str]) -> None:
    for instant in count(1):
        story = Story((), "picture", False, (instant,), instant % 2 == 0, instant % 3 == 0, None)
        if not asyncio.run(play(*sqlite, story)):
            break
    assert instant > 50
