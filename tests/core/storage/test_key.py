"""The encryption key: another one is refused, a new one encrypts everything again, a lost one pays nothing."""

import dataclasses
from pathlib import Path

import pytest
from sqlalchemy import text

from core.domain.errors import SubmitUnknown
from core.domain.job import Job, JobState
from core.ports import NotUsable
from core.storage.codec import JobRows
from core.storage.database import Database
from core.storage.encryption import KeyChanged, Vault
from core.storage.jobs import SqlJobStore
from core.storage.state import SqlAppState, adopt_key
from tests.core.jobs.pipeline_kit import World
from tests.core.storage.test_jobs import FULL, job
from tests.fakes.core import FakeClock

OLD, NEW = "the key until today", "the key from now on"


async def filled(database: Database) -> Job:
    vault = Vault(OLD)
    await SqlAppState(database, vault, FakeClock()).put("area", "key", {"a": 1})
    stored, _ = await SqlJobStore(database, vault, FakeClock()).add(job(**FULL))
    return stored


@pytest.mark.parametrize("known", [True, False])
async def test_a_start_with_another_key_is_refused_and_changes_nothing(database: Database, known: bool) -> None:
    """Also on a database of 0.1.0, which does not record its key."""
    stored = await filled(database)
    if known:
        await adopt_key(database, Vault(OLD))
    for _ in range(2):
        with pytest.raises(KeyChanged, match="SECRET_KEY_OLD"):
            await adopt_key(database, Vault(NEW))
    await adopt_key(database, Vault(OLD))
    assert await SqlJobStore(database, Vault(OLD), FakeClock()).get(stored.id) == stored


@pytest.mark.parametrize("known", [True, False])
async def test_the_old_key_beside_the_new_one_seals_everything_anew(database: Database, known: bool) -> None:
    stored = await filled(database)
    if known:
        await adopt_key(database, Vault(OLD))
    for _ in range(2):
        await adopt_key(database, Vault(NEW, old=OLD))
    await adopt_key(database, Vault(NEW))
    assert await SqlJobStore(database, Vault(NEW), FakeClock()).get(stored.id) == stored
    assert await SqlAppState(database, Vault(NEW), FakeClock()).get("area", "key") == {"a": 1}
    assert await SqlAppState(database, Vault(OLD), FakeClock()).get("area", "key") is None
    with pytest.raises(KeyChanged):
        await adopt_key(database, Vault(OLD))


async def test_an_empty_database_takes_any_key_and_keeps_to_it(database: Database) -> None:
    await adopt_key(database, Vault(NEW))
    with pytest.raises(KeyChanged):
        await adopt_key(database, Vault(OLD))


def test_a_shared_database_needs_a_key_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotUsable, match="set SECRET_KEY"):
        Vault.open(None, tmp_path, shared=True)
    assert list(tmp_path.iterdir()) == []


def lose_key(w: World) -> None:
    w.state._vault = Vault(NEW)
    w.store._rows = JobRows(Vault(NEW))
    w.put(adapters={})  # where the answer goes is lost too


@pytest.mark.usefixtures("any_database_url")
@pytest.mark.parametrize("mark", ["intent", "sending"])
@pytest.mark.parametrize("legacy", [True, False])
async def test_a_job_whose_key_is_lost_is_looked_up_and_never_posted_again(w: World, mark: str, legacy: bool) -> None:
    posted = await w.ask_until("wait")
    remote = (await w.job(posted.id)).remote
    assert remote is not None
    unclear = dataclasses.replace(remote, submit=mark, request_id="")  # type: ignore[arg-type]
    await w.store.update(posted.id, remote=unclear)
    if legacy:
        w.upscaler.listing = "broken"  # 0.1.0 kept the picture's address in the sealed half alone
        async with w.database.write() as connection:
            await connection.execute(text("UPDATE jobs SET submit_mark = '', data = replace(data, 'staged_url', 'x')"))
    w.engine.steps[f"{posted.id}:request"] = "submit"
    lose_key(w)
    await w.drive()
    assert w.upscaler.posts[posted.id] == 1
    ended = await w.job(posted.id)
    assert ended.state is (JobState.FAILED if legacy else JobState.SUCCEEDED)
    assert not legacy or isinstance(ended.error, SubmitUnknown)


@pytest.mark.usefixtures("any_database_url")
async def test_a_job_whose_key_is_lost_after_its_submit_is_waited_for_and_settled(w: World) -> None:
    posted = await w.ask_until("wait")
    lose_key(w)
    await w.drive()
    assert (await w.job(posted.id)).state is JobState.SUCCEEDED
    assert w.upscaler.posts[posted.id] == 1
    assert (await w.money(posted.id)).charged > 0
