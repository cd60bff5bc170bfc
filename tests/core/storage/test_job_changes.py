"""Changes of a job whose row is as cached in this process, and of one that was changed meanwhile."""

from typing import Any

import pytest
from sqlalchemy import Engine, event

from core.domain.job import JobState, Progress
from core.storage.database import Database
from core.storage.drivers import direct
from core.storage.encryption import Vault
from core.storage.jobs import SqlJobStore
from tests.core.storage.test_jobs import job
from tests.fakes.core import FakeClock


@pytest.fixture
def store(database: Database) -> SqlJobStore:
    return SqlJobStore(database, Vault("a key"), FakeClock())


async def test_a_change_of_a_row_that_another_process_changed_meanwhile_keeps_both(
    store: SqlJobStore, database: Database
) -> None:
    stored, _ = await store.add(job())
    await store.update(stored.id, progress=Progress("waiting", position=3))
    other = SqlJobStore(database, Vault("a key"), FakeClock())
    assert await other.transition(stored.id, (JobState.QUEUED,), state=JobState.RUNNING, images_deleted=True)
    assert await store.transition(stored.id, (JobState.QUEUED,), fingerprint="f") is None
    found = await store.update(stored.id, confirmed_nanousd=5)
    assert found == await other.get(stored.id)
    assert (found.state, found.images_deleted, found.confirmed_nanousd) == (JobState.RUNNING, True, 5)
    assert found.progress == Progress("waiting", position=3)


async def test_a_row_that_this_process_knows_is_changed_by_one_statement(
    store: SqlJobStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, _ = await store.add(job())
    await store.update(stored.id, images_deleted=True)
    sent: list[str] = []
    prepared = direct.prepared

    def note_direct(*call: Any) -> Any:
        made = prepared(*call)
        sent.extend(made[0].split()[:1] if made else ())
        return made

    monkeypatch.setattr(direct, "prepared", note_direct)

    @event.listens_for(Engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement.split()[0])

    @event.listens_for(Engine, "commit")
    def note_commit(_connection: Any) -> None:
        sent.append("commit")

    try:
        await store.update(stored.id, fingerprint="f")
        await store.transition(stored.id, (JobState.QUEUED,), state=JobState.RUNNING)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
        event.remove(Engine, "commit", note_commit)
    assert sent == (["UPDATE", "BEGIN", "COMMIT"] * 2 if database.is_sqlite else ["UPDATE"] * 2)  # noted when prepared
