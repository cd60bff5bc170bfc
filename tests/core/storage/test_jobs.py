"""The jobs table and the small state on both databases, and SQLite's fast paths."""

import asyncio
import dataclasses
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError

from core.domain import errors
from core.domain.errors import FileTooLarge, JobNotFound, LimitReached
from core.domain.job import (
    Delivery,
    InputFacts,
    Job,
    JobState,
    Progress,
    Quote,
    Receipt,
    Remote,
    ReplyAddress,
    Requester,
    Result,
    Source,
    job_id_for,
)
from core.domain.limits import Limit, LimitStatus, Measure, Scope, ScopeKind, Window
from core.domain.parameters.spec import Parameters
from core.ports import is_staged
from core.storage.database import Database
from core.storage.encryption import Vault
from core.storage.jobs import SqlJobStore
from core.storage.state import SqlAppState
from tests.fakes.core import NOON, FakeClock, closing
from tests.pg import open_database
from tests.typed import unwrap

ANN = Requester("fake", "ann", "Ann", workspace_id="w1", channel_id="c1", role_ids=("r1", "r2"), locale="de")


def job(number: int = 1, **changes: Any) -> Job:
    key = f"fake:{number}"
    fields: dict[str, Any] = {
        "id": job_id_for(key),
        "key": key,
        "state": JobState.QUEUED,
        "requester": ANN,
        "source": Source("link", url="https://example.org/secret.png"),
        "reply": ReplyAddress("fake", {"token": "secret-token"}),
        "parameters": Parameters(seed=2**32 - 1),
        "created_at": NOON + number,
        "updated_at": NOON + number,
    }
    return Job(**(fields | changes))


@pytest.fixture
def store(database: Database) -> SqlJobStore:
    return SqlJobStore(database, Vault("a key"), FakeClock())


FULL: dict[str, Any] = {
    "state": JobState.RUNNING,
    "private": True,
    "spoiler": True,
    "parent_id": "0123456789ab",
    "confirmed_nanousd": 5_000_000_000_000,
    "confirm_by_at": NOON + 600.5,
    "finished_at": NOON + 700.25,
    "input": InputFacts("jpeg", 4000, 3000, 5_000_000, "ab" * 32, ("alpha_flattened", "first_frame")),
    "quote": Quote(4000, 3000, 8000, 6000, 48, 100_000_000, 4_800_000_000, True),
    "progress": Progress("upscaling", percent=40.5, eta_at=NOON),
    "remote": Remote("fal", "https://v3.fal.media/x", "sent", NOON, "request-1", "https://v3.fal.media/y", True),
    "receipt": Receipt(4_800_000_000, 4_900_000_000, "units", Decimal("47.9"), 100_000_000),
    "result": Result(8000, 6000, 70_000_000, "image/png", "jobs/x", 7, 12.5, "Ein Bild: „schön“ 🎉", "https://l"),
    "delivery": Delivery("webp", "direct_message"),
    "cancel_requested_by": "fake:mod",
}


async def test_a_job_comes_back_from_its_row_as_it_went_in(store: SqlJobStore) -> None:
    status = LimitStatus(Limit(Scope(ScopeKind.USER), Measure.USD, Window.DAY, 5), 4, 0, NOON)
    for number, error in enumerate(
        (None, FileTooLarge(bytes=None, limit_bytes=3), LimitReached(status=status, needed=9))
    ):
        full = job(number, **FULL)
        added, new = await store.add(full)
        assert new
        changed = await store.update(added.id, error=error)
        found = unwrap(await store.get(full.id))
        assert found == dataclasses.replace(changed, error=found.error)
        assert errors.to_json(found.error) == errors.to_json(error) if found.error and error else found.error is error
        assert dataclasses.replace(found, error=None, updated_at=full.updated_at) == full


async def test_the_same_key_is_one_row_however_many_ask(store: SqlJobStore) -> None:
    answers = await asyncio.gather(*(store.add(job(created_at=NOON + n)) for n in range(10)))
    assert [new for _, new in answers].count(True) == 1
    assert len({stored.id for stored, _ in answers}) == 1


async def test_links_and_tokens_are_not_readable_in_the_database(database: Database, store: SqlJobStore) -> None:
    stored, _ = await store.add(job(**FULL))
    async with database.read() as connection:
        row = (await connection.execute(text("SELECT * FROM jobs"))).one()
    for secret in ("secret.png", "secret-token", "v3.fal.media", "schön"):
        assert secret not in str(tuple(row))
    other = SqlJobStore(database, Vault("another key"), FakeClock())
    found = unwrap(await other.get(stored.id))
    assert (found.receipt, found.source.url) == (stored.receipt, "")
    assert found.remote
    assert stored.remote
    assert (found.remote.submit, found.remote.request_id) == ("sent", stored.remote.request_id)
    assert is_staged(stored.remote.staged_url, found.remote.staged_url)


async def test_changes_from_many_sides_are_all_kept(store: SqlJobStore) -> None:
    stored, _ = await store.add(job())
    names: list[dict[str, Any]] = [
        {"private": True},
        {"spoiler": True},
        {"parent_id": "p"},
        {"cancel_requested_by": "fake:ann"},
        {"state": JobState.RUNNING},
        {"progress": Progress("waiting", position=3)},
    ]
    await asyncio.gather(*(store.update(stored.id, **change) for change in names))
    found = await store.get(stored.id)
    assert found is not None
    for change in names:
        [(name, value)] = change.items()
        assert getattr(found, name) == value


async def test_only_one_of_many_gets_a_transition(store: SqlJobStore) -> None:
    stored, _ = await store.add(job(state=JobState.AWAITING_CONFIRMATION))
    waiting = (JobState.AWAITING_CONFIRMATION,)
    moved = await asyncio.gather(*(store.transition(stored.id, waiting, state=JobState.QUEUED) for _ in range(8)))
    assert len([one for one in moved if one is not None]) == 1


async def test_a_job_that_is_not_there_is_not_invented(store: SqlJobStore) -> None:
    assert await store.get("000000000000") is None
    with pytest.raises(JobNotFound):
        await store.update("000000000000", images_deleted=True)
    with pytest.raises(JobNotFound):
        await store.transition("000000000000", (JobState.QUEUED,), images_deleted=True)
    assert await store.delivery_state("000000000000") == {}


async def test_the_searches_find_what_they_are_for(store: SqlJobStore) -> None:
    states = [JobState.QUEUED, JobState.RUNNING, JobState.DELIVERING, JobState.SUCCEEDED, JobState.FAILED]
    for number, state in enumerate(states):
        done = NOON - 1000 if state.terminal else None
        await store.add(
            job(number, state=state, finished_at=done, remote=Remote("fal", request_id=f"request-{number}"))
        )
    await store.add(job(9, state=JobState.AWAITING_CONFIRMATION, confirm_by_at=NOON - 1))
    ids = [job(number).id for number in range(10)]
    assert list(await store.orphaned("mine", updated_before=NOON + 60)) == ids[:3]
    assert [found.id for found in await store.unconfirmed_before(NOON)] == [ids[9]]
    assert {found.id for found in await store.finished_before(NOON)} == {ids[3], ids[4]}
    assert (found := await store.by_request_id("request-3")) is not None
    assert found.id == ids[3]
    assert [found.id for found in await store.history(ANN, limit=2)] == [ids[9], ids[4]]
    await store.update(ids[1], cancel_requested_by="fake:ann")
    assert list(await store.cancel_requests()) == [ids[1]]
    at_work = await store.open_jobs()
    assert (at_work.waiting, at_work.running) == (1, 2)
    assert at_work.oldest_at == min([(await store.get(one)).created_at for one in ids[:3]])  # type: ignore[union-attr]


async def test_notes_takeovers_and_incidents_are_kept(store: SqlJobStore) -> None:
    stored, _ = await store.add(job())
    await store.change_delivery_state(stored.id, {"message": "17", "n": [1, 2]})
    assert await store.delivery_state(stored.id) == {"message": "17", "n": [1, 2]}
    assert [await store.count_takeovers([stored.id, "gone"]) for _ in range(2)] == [{stored.id: 1}, {stored.id: 2}]
    await store.add_incident("ref", area="web", kind="ZeroDivisionError", job_id="")
    assert ((await store.incident("ref")) or {})["kind"] == "ZeroDivisionError"
    await store.remove(stored.id)
    assert await store.get(stored.id) is None


async def test_a_turn_is_taken_by_one_at_a_time_and_comes_free_by_itself(database: Database) -> None:
    clock = FakeClock()
    state = SqlAppState(database, Vault("a key"), clock)
    turns = await asyncio.gather(*(state.claim("discord.identify", "0", ttl_s=5) for _ in range(6)))
    assert turns.count(True) == 1
    clock.at += 5.1
    assert await state.claim("discord.identify", "0", ttl_s=5)
    await state.put("area", "key", {"a": [1, None, "ü"]})
    await state.put("area", "key", {"a": 2})
    assert (await state.get("area", "key"), await state.keys("area")) == ({"a": 2}, ["key"])
    await state.put("area", "short", 1, ttl_s=5)
    await state.put("other", "key", 3)
    wanted = [("area", "short"), ("other", "key"), ("area", "gone"), ("other", "short"), ("area", "key")]
    assert await state.get_all(wanted) == [1, 3, None, None, {"a": 2}]
    clock.at += 5.1
    assert await state.get_all(wanted) == [None, 3, None, None, {"a": 2}]
    await state.delete("area", "key")
    assert await state.get("area", "key") is None


# --- writes that are committed together -------------------------------------------------------------------------


async def test_a_write_that_fails_undoes_only_itself(store: SqlJobStore, database: Database) -> None:
    for number in range(6):
        await store.add(job(number))

    def fail(connection: Connection) -> None:
        connection.execute(text("UPDATE jobs SET takeovers = 99"))
        raise ZeroDivisionError

    works = [store.update(job(n).id, images_deleted=True) for n in range(6)]
    answers = await asyncio.gather(*works[:3], database.run_write(fail), *works[3:], return_exceptions=True)
    assert [type(answer) for answer in answers] == [Job] * 3 + [ZeroDivisionError] + [Job] * 3
    for number in range(6):
        found = unwrap(await store.get(job(number).id))
        assert found.images_deleted
        assert await store.count_takeovers([found.id]) == {found.id: 1}


async def test_slow_and_quick_writers_of_one_process_do_not_hinder_each_other(
    store: SqlJobStore, database: Database
) -> None:
    stored, _ = await store.add(job())

    async def slow() -> None:
        async with database.write() as connection:
            await connection.execute(text("UPDATE jobs SET takeovers = takeovers + 1"))
            await asyncio.sleep(0.005)

    async def quick() -> None:
        await store.change_delivery_state(stored.id, {"n": 1})

    async with asyncio.timeout(20):
        await asyncio.gather(*(work() for _ in range(15) for work in (slow, quick)))
    assert await store.count_takeovers([stored.id]) == {stored.id: 16}


async def test_a_read_goes_on_while_another_program_holds_the_write_lock(tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path / 'bot.db'}")
    store = SqlJobStore(database, Vault("a key"), FakeClock())
    stored, _ = await store.add(job())
    other = sqlite3.connect(tmp_path / "bot.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(20):
            assert await store.get(stored.id) is not None
        writing = asyncio.create_task(store.update(stored.id, images_deleted=True))
        await asyncio.sleep(0.05)
        assert not writing.done()
        other.execute("COMMIT")
        assert (await asyncio.wait_for(writing, 10)).images_deleted
    finally:
        other.close()
        await database.close()


async def test_a_server_that_is_away_is_told_as_trouble_with_the_database() -> None:
    async with closing(Database.connect("postgresql://nobody@127.0.0.1:1/none")) as database:
        for attempt in (database.run_read, database.run_write):
            with pytest.raises(DBAPIError) as caught:
                await attempt(lambda connection: None)
            assert isinstance(caught.value, OperationalError)


async def test_a_second_incident_of_a_job_is_kept_beside_the_first(store: SqlJobStore) -> None:
    for kind in ("KeyError", "ValueError", "TypeError"):
        await store.add_incident("0123456789ab", area="step:collect", kind=kind, job_id="0123456789ab")
    found = await store.incident("0123456789ab")
    assert found is not None
