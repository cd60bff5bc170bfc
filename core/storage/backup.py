"""Back up everything that is stored into one file, and restore it.

A backup is a ZIP: `manifest.json`, each table as one JSON row per line, the key file if the key is in `DATA_DIR`, and
on request the pictures. It is read in one transaction, so it can be made while the bot runs, and it can be
restored into SQLite or PostgreSQL, also by a later version of the bot.

A backup does not know what happened after it was made. So no unfinished job in it is paid for or posted after a
restore: a job with a request at the provider is looked up there and its picture kept in the history; any other ends
uncharged. Each restore starts a new epoch, which `ledger_meta` records.
"""

import dataclasses
import json
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

from sqlalchemy import Boolean, Connection, MetaData, Table, delete, func, insert, inspect, select, text, update

from core.domain.errors import Restored
from core.domain.job import JobState, Receipt, ReplyAddress
from core.ports import NotUsable, SystemClock
from core.storage.codec import from_row, to_row
from core.storage.database import Database
from core.storage.encryption import KeyChanged, Vault
from core.storage.jobs import SqlJobStore
from core.storage.ledger import LedgerSettings, SqlLedger
from core.storage.migrate import known_revisions, upgrade_to
from core.storage.tables import app_state, jobs, metadata, obligations, replicas, work
from core.storage.tables_ledger import meta

FORMAT = 1
KEY_FILE = "secret.key"
RESTORED_TO = "restored"
"""Reply platform of a job that was unfinished in the backup: there is no such adapter, so nothing is posted."""

_BATCH_ROWS = 1000
_EPOCH = "epoch"
_LEFT_OUT = {replicas.name, work.name}
"""Running processes and their work are not backed up."""


@dataclass(frozen=True, slots=True)
class Contents:
    """A backup's manifest. `made_at` in unix seconds; `revision` of the tables; `pictures` is the number of files."""

    made_at: float
    version: str
    revision: str
    rows: dict[str, int]
    pictures: int
    has_key: bool


async def write_backup(
    database: Database, file: Path, *, version: str, key_file: Path, folders: Sequence[Path] = ()
) -> Contents:
    """Write a complete file, readable by its owner only. All `folders` have the same parent. Raises OSError."""
    draft = file.with_name(file.name + ".part")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
            draft.chmod(0o600)
            async with database.engine.connect() as connection:
                snapshot = {"readonly": True} if database.is_sqlite else {"isolation_level": "REPEATABLE READ"}
                await connection.execution_options(**snapshot)
                async with connection.begin():
                    rows = await connection.run_sync(_write_tables, archive)
            has_key = key_file.is_file()
            if has_key:
                archive.write(key_file, KEY_FILE)
            pictures = _write_pictures(archive, folders)
            contents = Contents(time.time(), version, known_revisions()[1], rows, pictures, has_key)
            archive.writestr("manifest.json", json.dumps({"format": FORMAT, **dataclasses.asdict(contents)}, indent=1))
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    return contents


def _write_tables(connection: Connection, archive: zipfile.ZipFile) -> dict[str, int]:
    counts: dict[str, int] = {}
    for table in metadata.sorted_tables:
        if table.name in _LEFT_OUT:
            continue
        with archive.open(f"tables/{table.name}.jsonl", "w", force_zip64=True) as out:
            counts[table.name] = 0
            found = connection.execution_options(yield_per=_BATCH_ROWS).execute(select(table))
            for row in found.mappings():
                out.write(json.dumps(dict(row), ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
                counts[table.name] += 1
    return counts


def _write_pictures(archive: zipfile.ZipFile, folders: Sequence[Path]) -> int:
    count = 0
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            try:
                if path.is_file() and not path.is_symlink():
                    archive.write(path, f"files/{path.relative_to(folder.parent)}", zipfile.ZIP_STORED)
                    count += 1
            except FileNotFoundError:  # its job was deleted meanwhile
                continue
    return count


def read_contents(file: Path) -> Contents:
    """Read the manifest and verify the checksums of the whole file. Raises NotUsable."""
    try:
        with zipfile.ZipFile(file) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            tables = [f"tables/{name}.jsonl" for name in manifest["rows"]]
            damaged = archive.testzip() or next((name for name in tables if name not in archive.namelist()), None)
        if manifest.pop("format") != FORMAT:
            raise NotUsable("This backup was made by a newer version of the bot; use that version.")
        contents = Contents(**manifest)
    except FileNotFoundError:
        raise NotUsable(f"{file} is not there.") from None
    except (PermissionError, IsADirectoryError) as error:
        raise NotUsable(f"{file} cannot be read: {error.strerror}.") from None
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotUsable(f"{file} is not a backup of this bot, or is damaged.") from error
    if damaged is not None:
        raise NotUsable(f"{file} is damaged: {damaged} cannot be read.")
    if contents.revision not in known_revisions()[0]:
        raise NotUsable("This backup was made by a newer version of the bot; use that version.")
    return contents


def key_in(file: Path) -> str | None:
    with zipfile.ZipFile(file) as archive:
        return archive.read(KEY_FILE).decode() if KEY_FILE in archive.namelist() else None


async def stored_jobs(database: Database) -> int:
    def count(connection: Connection) -> int:
        if not inspect(connection).has_table(jobs.name):
            return 0
        return connection.scalar(select(func.count()).select_from(jobs)) or 0

    async with database.read() as connection:
        return await connection.run_sync(count)


async def restore(database: Database, file: Path, vault: Vault, *, at: float) -> int:
    """Replace everything that is stored by the backup, in one transaction. Returns its number of unfinished jobs.

    No process may use the database meanwhile. Raises KeyChanged if `vault` does not decrypt the backup.
    """
    contents = read_contents(file)
    async with database.write() as connection:
        unfinished = await connection.run_sync(_restore, file, contents.revision, vault, at)
    await _release_holds(database, vault)
    return unfinished


async def _release_holds(database: Database, vault: Vault) -> None:
    clock = SystemClock()
    store = SqlJobStore(database, vault, clock)
    settings = LedgerSettings((), ZoneInfo("UTC"))
    ledger = SqlLedger(database, clock, settings)
    try:
        await ledger.sweep(store.is_unfinished, older_than_s=-settings.hold_ttl_s)
    finally:
        await ledger.close()


def _restore(connection: Connection, file: Path, revision: str, vault: Vault, at: float) -> int:
    epoch = _epoch(connection)
    _drop_everything(connection)
    upgrade_to(connection, revision)
    there = MetaData()
    there.reflect(connection)
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            table = there.tables.get(Path(name).stem)
            if name.startswith("tables/") and table is not None:
                with archive.open(name) as lines:
                    _fill(connection, table, lines)
    upgrade_to(connection, "head")
    _check_key(connection, vault)
    connection.execute(delete(work))  # written by the migration of an older backup
    connection.execute(delete(obligations))  # jobs that ended long ago are not announced
    connection.execute(delete(meta).where(meta.c.key == _EPOCH))
    connection.execute(insert(meta).values(key=_EPOCH, value=str(max(epoch, int(at)) + 1)))
    return _close_unfinished(connection, vault, at)


def _epoch(connection: Connection) -> int:
    if not inspect(connection).has_table(meta.name):
        return 0
    return int(connection.scalar(select(meta.c.value).where(meta.c.key == _EPOCH)) or 0)


def _drop_everything(connection: Connection) -> None:
    """Drop our tables, and those of the job engine of older releases."""
    for view in inspect(connection).get_view_names():
        connection.execute(text(f'DROP VIEW "{view}"'))
    there = MetaData()
    there.reflect(connection)
    there.drop_all(connection)
    if connection.dialect.name == "postgresql":
        connection.execute(text("DROP SCHEMA IF EXISTS dbos CASCADE"))


def _fill(connection: Connection, table: Table, lines: IO[bytes]) -> None:
    flags = [column.name for column in table.columns if isinstance(column.type, Boolean)]
    parsed = map(json.loads, lines)
    while rows := list(islice(parsed, _BATCH_ROWS)):
        for row in rows:
            row.update({name: bool(row[name]) for name in flags if row.get(name) is not None})
        connection.execute(insert(table), rows)
    number = table.autoincrement_column
    if number is not None and connection.dialect.name == "postgresql":
        sequence = connection.scalar(select(func.pg_get_serial_sequence(table.name, number.name)))
        if sequence:
            last = select(func.coalesce(func.max(number), 0) + 1)
            connection.execute(select(func.setval(sequence, last.scalar_subquery(), False)))


def _check_key(connection: Connection, vault: Vault) -> None:
    known = connection.scalars(select(app_state.c.key).where(app_state.c.area == "secret_key")).all()
    if known and not set(known) & set(vault.fingerprints):
        raise KeyChanged


def _close_unfinished(connection: Connection, vault: Vault, at: float) -> int:
    open_states = [state.value for state in JobState if not state.terminal]
    found = connection.execute(select(jobs).where(jobs.c.state.in_(open_states))).all()
    for row in found:
        # `updated_at` 0: the next start finds that no process runs it.
        job = dataclasses.replace(from_row(row, vault), reply=ReplyAddress(RESTORED_TO), updated_at=0.0)
        if job.remote is None or not job.remote.request_id:
            receipt = Receipt(0, job.quote.estimate_nanousd if job.quote else 0, "none")
            job = dataclasses.replace(
                job, state=JobState.FAILED, error=Restored(), receipt=receipt, finished_at=at, updated_at=at
            )
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(**to_row(job, vault), owner=""))
    return len(found)


def restore_pictures(file: Path, data_dir: Path, folders: Sequence[str]) -> int:
    count = 0
    with zipfile.ZipFile(file) as archive:
        for item in archive.infolist():
            parts = Path(item.filename).parts
            if len(parts) < 3 or parts[0] != "files" or parts[1] not in folders or ".." in parts or item.is_dir():
                continue
            item.filename = "/".join(parts[1:])
            archive.extract(item, data_dir)
            count += 1
    return count
