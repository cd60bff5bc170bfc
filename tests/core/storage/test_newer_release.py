"""A newer release runs beside this one, as in a rolling upgrade: what only it can read is left to it without harm."""

import json

import pytest
from sqlalchemy import insert, select, update

from adapters.discord.outbound.delivery_state import JobMessageStore, SentMessage
from core.accounts.settings import owner_key
from core.domain.errors import StorageUnavailable
from core.domain.job import Job
from core.engine.replicas import Replicas
from core.engine.work import Piece
from core.storage import tables_ledger
from core.storage.tables import jobs, obligations, work
from tests.core.jobs.pipeline_kit import ANN, MOD, World
from tests.typed import unwrap

pytestmark = pytest.mark.usefixtures("any_database_url")


async def _with(w: World, job: Job, **columns: object) -> None:
    """Change the row as a newer release writes it, and empty the cache as after a start."""
    async with w.database.write() as connection:
        await connection.execute(update(jobs).where(jobs.c.id == job.id).values(**columns))
    await w.close()
    await w.open()


async def _data(w: World, job: Job) -> dict[str, object]:
    async with w.database.read() as connection:
        data = await connection.scalar(select(jobs.c.data).where(jobs.c.id == job.id))
    return dict(json.loads(unwrap(data)))


@pytest.mark.parametrize("what", ["state", "stage"])
async def test_a_job_that_cannot_be_read_hides_no_other_and_keeps_its_money(w: World, what: str) -> None:
    other = await w.done()
    newer = await w.ask_until("submit")
    if what == "state":
        await _with(w, newer, state="dreaming")
    else:
        data = await _data(w, newer)
        await _with(w, newer, data=json.dumps({**data, "progress": {"stage": "dreaming"}}))
    assert [job.id for job in await w.store.history(ANN, limit=10)] == [other.id]
    assert [job.id for job in (await w.service.queue(MOD)).jobs] == []
    assert await w.store.get(newer.id) is None
    await w.clock.advance(600)
    await w.maintenance.keep_holds()
    await w.maintenance.pick_up()
    assert (await w.money(newer.id)).open_holds == 1


async def test_what_is_owed_in_a_way_that_is_not_known_stays_owed(w: World) -> None:
    row = {"id": "one", "job_id": "none", "kind": "sing", "platform": "fake", "data": "", "tries": 0}
    async with w.database.write() as connection:
        await connection.execute(insert(obligations).values(**row, made_at=0.0, due_at=0.0, expires_at=1e12))
    await w.maintenance.fulfil_obligations()
    async with w.database.read() as connection:
        assert (await connection.execute(select(obligations.c.kind, obligations.c.tries))).all() == [("sing", 0)]


async def test_a_part_that_is_not_known_is_taken_by_nobody_here(w: World) -> None:
    rows = [
        {"job_id": part, "part": part, "owner": owner, "at": 0.0} for part, owner in (("sing", ""), ("hum", "dead"))
    ]
    known = [{"job_id": owner, "part": "request", "owner": owner, "at": 0.0} for owner in ("", "dead")]
    await Replicas(w.database).sign_in("this", "mine")
    async with w.database.write() as connection:
        await connection.execute(insert(work), [*rows, *known])
    assert await w.work.take_from("dead", "mine") == [Piece("dead", "request")]
    assert await w.work.take_unowned("mine") == [Piece("", "request")]
    async with w.database.read() as connection:
        left = await connection.execute(select(work.c.part).where(work.c.owner != "mine").order_by(work.c.part))
        assert left.scalars().all() == ["hum", "sing"]


@pytest.mark.parametrize("column", ["scope", "measure", "window"])
async def test_a_limit_that_cannot_be_counted_hides_no_other(w: World, column: str) -> None:
    row = {"platform": "fake", "workspace_id": MOD.workspace_id, "scope": "workspace", "scope_id": "",
           "measure": "jobs", "window": "day", "amount": 5, "set_by": "", "set_at": 0.0}  # fmt: skip
    async with w.database.write() as connection:
        await connection.execute(insert(tables_ledger.limits), [row, {**row, column: "mood"}])
    rules = await w.service.limits.rules.limits("fake", MOD.workspace_id)
    assert [rule.amount for rule in rules] == [5]
    assert (await w.done()).result is not None


async def test_a_value_that_cannot_be_read_is_not_overwritten(w: World) -> None:
    newer = {"logo": {"factor": {"exactly": 4}}}
    await w.state.put("presets", owner_key(ANN), newer)
    for change in (w.members.save_preset(ANN, "other", "2x"), w.members.delete_preset(ANN, "logo")):
        with pytest.raises(StorageUnavailable):
            await change
    assert await w.state.get("presets", owner_key(ANN)) == newer


async def test_messages_that_a_newer_release_noted_are_left_to_it(w: World) -> None:
    newer = {"messages": [7]}
    await w.state.put("discord-beside", "job", newer)
    kept = JobMessageStore(w.state, w.clock)
    await kept.add_message("job", SentMessage(channel_id=1, message_id=2))
    assert await kept.take_messages("job") == []
    assert await w.state.get("discord-beside", "job") == newer
