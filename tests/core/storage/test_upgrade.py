"""The tables: a new database gets those of the code, and what earlier releases wrote survives the upgrade.

`release_0_1_0.json` holds rows that its own code wrote (a running job, one whose submit got no answer, one that
awaits confirmation, one that is done), under the key below.
"""

import json
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from zoneinfo import ZoneInfo

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Boolean, Connection, inspect, text

import core.storage.tables
import core.storage.tables_ledger  # noqa: F401
from core.domain.job import Job, JobState, job_id_for
from core.engine.replicas import Replicas
from core.engine.work import Work
from core.storage import migrate as migrations
from core.storage.database import Database
from core.storage.encryption import Vault
from core.storage.jobs import SqlJobStore
from core.storage.ledger import LedgerDatabase, LedgerSettings, SqlLedger
from core.storage.migrate import migrate, upgrade_to
from core.storage.state import SqlAppState
from core.storage.tables import metadata
from tests.core.storage.ledger_kit import USD, HandClock
from tests.core.storage.test_jobs import ANN
from tests.fakes.core import NOON, closing
from tests.typed import unwrap

KEY = "a key of the release 0.1.0"
COUNTED = {("ledger_entries", "id"), ("ledger_holds", "seq")}
"""Numbered by the database itself."""

ROWS = json.loads(Path(__file__).with_name("release_0_1_0.json").read_text())


def _old_database(connection: Connection) -> None:
    """The tables of 0.1.0 with its rows in them."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")
    for table, rows in ROWS.items():
        columns = {column["name"]: column["type"] for column in inspect(connection).get_columns(table)}
        for row in rows:
            values = {
                name: bool(value) if isinstance(columns[name], Boolean) else value
                for name, value in row.items()
                if (table, name) not in COUNTED
            }
            places = ", ".join(f":{name}" for name in values)
            connection.execute(text(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})"), values)


async def _upgraded(url: str) -> Database:
    database = Database.connect(url)
    async with database.write() as connection:
        await connection.run_sync(_old_database)
    await migrate(database)
    return database


async def test_jobs_messages_and_money_of_0_1_0_survive(any_database_url: str) -> None:
    database = await _upgraded(any_database_url)
    clock = HandClock()
    clock.at = NOON + 600
    store = SqlJobStore(database, Vault(KEY), clock)
    ledger = SqlLedger(LedgerDatabase(database), clock, LedgerSettings((), ZoneInfo("UTC")))
    try:
        jobs: list[Job] = []
        for number in range(1, 5):
            found = await store.get(job_id_for(f"fake:{number}"))
            assert found is not None
            jobs.append(found)
        running, unclear, asking, done = jobs
        assert [one.state for one in jobs] == [
            JobState.RUNNING, JobState.QUEUED, JobState.AWAITING_CONFIRMATION, JobState.SUCCEEDED,
        ]  # fmt: skip
        assert running.remote
        assert (running.remote.submit, running.remote.request_id) == ("sent", "request-1")
        assert unclear.remote
        assert (unclear.remote.submit, unclear.remote.staged_url) == ("sending", "https://v3.fal.media/files/c/d.png")
        assert asking.confirm_by_at == NOON + 900
        assert unwrap(done.result).caption == "A cat."
        assert unwrap(done.receipt).charged_nanousd == USD // 10
        assert running.reply.data == {"token": "secret-token"}
        assert await store.delivery_state(running.id) == {"message": "111", "channel": "222"}
        assert len(await store.history(ANN, limit=9)) == 4
        await ledger.settle(running.id, amount_nanousd=USD // 5, megapixels=Decimal(2), real=True)
        await ledger.release(unclear.id)
        async with database.read() as connection:
            held = "SELECT count(*) FROM ledger_holds WHERE state IN ('running', 'waiting')"
            assert await connection.scalar(text(held)) == 0
    finally:
        await ledger.close()
        await database.close()


async def test_what_was_kept_by_a_slack_id_alone_is_given_to_its_one_team(tmp_path: Path) -> None:
    def old(connection: Connection) -> None:
        _old_database(connection)
        put = "INSERT INTO app_state (area, key, value, updated_at) VALUES ('defaults', :key, 'sealed', 0)"
        for key in ("slack:U1", "slack:U2", "slack:U3", "discord:U1"):
            connection.execute(text(put), {"key": key})
        job = "INSERT INTO jobs SELECT :id, :id, state, 'slack', :team, channel_id, :user, created_at, updated_at, "
        job += "finished_at, confirm_by_at, fingerprint, request_id, cancel_requested_by, images_deleted, takeovers, "
        job += "data, secret, memo FROM jobs LIMIT 1"
        for number, (team, user) in enumerate([("T1", "U1"), ("T1", "U2"), ("T2", "U2")]):
            connection.execute(text(job), {"id": f"s{number}", "team": team, "user": user})
        rule = "INSERT INTO ledger_limits VALUES ('*slack', '', 'user', :user, 'usd', 'day', 0, 'op', 0)"
        for user in ("U1", "U2", "U9"):
            connection.execute(text(rule), {"user": user})
        balance = "INSERT INTO ledger_balances VALUES (:key, NULL, 1, 0, 0, 0, 0, 0, 0, 0)"
        for key in ("u:slack::ab|day", "u:slack:T1:ab|day", "g:u:slack::ab|day"):
            connection.execute(text(balance), {"key": key})

    database = Database.connect(f"sqlite:///{tmp_path / 'bot.db'}")
    async with database.write() as connection:
        await connection.run_sync(old)
    await migrate(database)
    async with database.read() as connection:
        rows = await connection.execute(text("SELECT key FROM app_state WHERE area = 'defaults' ORDER BY key"))
        assert list(rows.scalars()) == ["discord:U1", "slack:T1:U1"]
        limits = await connection.execute(text("SELECT workspace_id, scope_id FROM ledger_limits ORDER BY 2, 1"))
        assert [tuple(row) for row in limits] == [("T1", "U1"), ("T1", "U2"), ("T2", "U2"), ("", "U9")]
        parts = await connection.execute(text("SELECT key FROM ledger_balances WHERE key LIKE 'g:%'"))
        assert list(parts.scalars()) == ["g:u:slack:T1:ab|day"]
    await database.close()


UNDER_WAY = {  # id: state, whether a price was asked for, owner, and the part and owner that the upgrade writes
    "waits": ("queued", False, "", ("request", "")),
    "handed": ("queued", False, "", ("request", "")),
    "agreed": ("queued", True, "gone", ("confirmed", "gone")),
    "at-fal": ("running", False, "lives", ("request", "lives")),
    "brings": ("delivering", True, "gone", ("deliver", "gone")),
    "asks": ("awaiting_confirmation", True, "gone", None),
    "done": ("succeeded", False, "gone", None),
}


def _release_0_2_0(connection: Connection) -> None:
    """The tables of 0.2.0 with running jobs, one of them handed over by a process that runs none."""
    upgrade_to(connection, "0010")
    add = "INSERT INTO jobs (id, key, state, platform, workspace_id, channel_id, user_id, created_at, updated_at, "
    add += "confirm_by_at, fingerprint, cancel_requested_by, images_deleted, takeovers, owner, data, secret, memo, "
    add += (
        "request_id) VALUES (:id, :id, :state, 'fake', '', '', '', 1, 1, :by, '', '', :no, 0, :owner, '', '', '', '')"
    )
    for name, (state, asked, owner, _) in UNDER_WAY.items():
        by = 1.0 if asked else None
        connection.execute(text(add), {"id": name, "state": state, "by": by, "owner": owner, "no": False})
    alert = "INSERT INTO ledger_alerts (key, level, claimed_at, sent) VALUES ('a budget', :level, :at, :sent)"
    for level, sent in ((50, True), (80, True), (100, False)):
        connection.execute(text(alert), {"level": level, "at": NOON, "sent": sent})
    connection.execute(text("INSERT INTO handed_over VALUES ('handed', 'request', 1)"))
    connection.execute(text("INSERT INTO replicas (name, token, since) VALUES ('p-lives', 'lives', 1)"))


async def test_alerts_that_0_2_0_has_sent_are_not_sent_again(any_database_url: str) -> None:
    database = Database.connect(any_database_url)
    try:
        async with database.write() as connection:
            await connection.run_sync(_release_0_2_0)
        await migrate(database)
        state, name = SqlAppState(database, Vault(KEY), HandClock()), sha256(b"a budget").hexdigest()[:40]
        free = [await state.claim("alert", f"{name}:{level}", ttl_s=1) for level in (50, 80, 100)]
        assert free == [False, False, True]
    finally:
        await database.close()


async def test_jobs_under_way_in_0_2_0_go_on_and_its_processes_that_still_run_keep_theirs(
    any_database_url: str,
) -> None:
    async with closing(Database.connect(any_database_url)) as database:
        async with database.write() as connection:
            await connection.run_sync(_release_0_2_0)
        await migrate(database)
        async with database.read() as connection:
            rows = (await connection.execute(text("SELECT job_id, part, owner FROM work"))).all()
        assert {row.job_id: (row.part, row.owner) for row in rows} == {
            name: wanted for name, (*_, wanted) in UNDER_WAY.items() if wanted is not None
        }
        if not database.is_sqlite:  # a process of 0.2.0 hands one more over, and another one takes what is nobody's
            async with database.write() as connection:
                await connection.execute(
                    text("INSERT INTO handed_over (job_id, part, at) VALUES ('new', 'request', 2)")
                )
                take = "SELECT job_id FROM handed_over ORDER BY at LIMIT 9 FOR UPDATE SKIP LOCKED"
                assert list(await connection.scalars(text(take))) == ["handed", "waits", "new"]
                await connection.execute(text("DELETE FROM handed_over WHERE job_id = 'waits'"))
        await Replicas(database).sign_in("p-new", "mine")
        taken = await Work(database, HandClock()).take_unowned("mine")
        gone = {"handed", "agreed", "brings", "waits" if database.is_sqlite else "new"}
        assert {piece.job_id for piece in taken} == gone


def _differences(connection: Connection) -> list[object]:
    wanted = set(metadata.tables)

    def ours(_object: object, name: str | None, kind: str, _reflected: bool, _compared: object) -> bool:
        return kind != "table" or name in wanted

    return list(compare_metadata(MigrationContext.configure(connection, opts={"include_object": ours}), metadata))


async def test_a_new_database_gets_the_tables_of_the_code(any_database_url: str) -> None:
    async with closing(Database.connect(any_database_url)) as database:
        await migrate(database)
        await migrate(database)
        async with database.write() as connection:
            assert await connection.run_sync(_differences) == []
