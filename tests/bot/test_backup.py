"""`backup` of a running bot and `restore`, with the real process: nothing is paid for or posted again."""

import asyncio
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from core.storage import tables_ledger
from core.storage.database import Database
from tests.bot.cli_kit import Commands
from tests.bot.process_kit import Bot, accepted, check_receipts, client_of, until
from tests.bot.test_kill import env_of
from tests.emulators.fal import FalEmulator, Held
from tests.emulators.s3 import S3Emulator
from tests.fakes.core import closing


async def open_holds(url: str) -> list[str]:
    holds = tables_ledger.holds.c
    async with closing(Database.connect(url)) as database, database.read() as connection:
        return list(await connection.scalars(select(holds.key).where(holds.state.in_(("waiting", "running")))))


async def test_after_a_restore_nothing_is_paid_again_and_what_fal_made_is_in_the_history(
    any_database_url: str, tmp_path: Path
) -> None:
    async with FalEmulator(slots=10) as fal:
        bot = Bot(tmp_path / "data", env_of(fal, any_database_url))
        file = tmp_path / "of-today.backup"
        try:
            await bot.start()
            async with client_of(bot) as client:
                await client.post(1)
                check_receipts(await client.finished([1]))
                fal.slots = 0
                await client.post(2)  # at fal when the backup is made
                await until(lambda: len(fal.submits) == 2)
                on_its_way = Held()
                fal.faults.add("upload", on_its_way)
                await client.post(3)  # on its way to fal when the backup is made, and there afterwards
                await until(lambda: len(fal.seen("upload")) == 3)

                code, said = await bot.command("backup", str(file), "--pictures")
                assert (code, "3 jobs" in said) == (0, True), said
                assert file.stat().st_mode & 0o077 == 0
                fal.slots = 10
                fal.runner.start_waiting()
                on_its_way.released.set()
                await client.post(4)  # after it
                check_receipts(await client.finished([2, 3, 4]))

                code, said = await bot.command("restore", str(file), "--yes")
                assert code == 2
                assert "stop it first" in said
                await bot.kill()
                code, said = await bot.command("restore", str(file), "--yes")
                assert code == 0, said
                assert "Under way then: 2." in said
                assert "1970" not in (await bot.command("job", client.job_id(2)))[1]
                assert await open_holds(any_database_url) == [client.job_id(2)], "what ended here holds nothing"

                await bot.start()
                one, two, three = await client.finished([1, 2, 3], within_s=90)
                check_receipts([one, two])
                assert (await client.image(1)).startswith(b"\x89PNG")
                assert (await client.image(2)).startswith(b"\x89PNG")
                assert (three["state"], three["error"]["code"]) == ("failed", "restored")
                assert (await client.job(4))["state"] == "HTTP 404"
            assert accepted(fal) == dict.fromkeys([1, 2, 3, 4], 1)
            assert bot.errors() == []
        finally:
            await bot.close()


async def test_a_backup_of_one_database_restores_into_the_other(tmp_path: Path, postgres_url: str) -> None:
    async with FalEmulator() as fal:
        old = Bot(tmp_path / "old", env_of(fal, f"sqlite:///{tmp_path / 'old.db'}"))
        new = Bot(tmp_path / "new", env_of(fal, postgres_url))
        file = tmp_path / "moving.backup"
        try:
            await old.start()
            async with client_of(old) as client:
                await client.post(1)
                check_receipts(await client.finished([1]))
                assert (await old.command("backup", str(file), "--pictures"))[0] == 0
                await old.kill()
                new.data_dir.mkdir()
                code, said = await new.command("restore", str(file))
                assert code == 0, said
                client.bot = await new.start()
                check_receipts(await client.finished([1]))
                assert (await client.image(1)).startswith(b"\x89PNG")
                await client.post(2)  # numbers that the database gives go on behind those restored
                check_receipts(await client.finished([2]))
        finally:
            await asyncio.gather(old.close(), new.close())


def damaged(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])


def without_a_table(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if name != "tables/ledger_entries.jsonl"}
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in kept.items():
            archive.writestr(name, data)


def of_the_future(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        said = {
            "format": 1,
            "made_at": 0,
            "version": "9",
            "revision": "9999",
            "rows": {},
            "pictures": 0,
            "has_key": False,
        }
        archive.writestr("manifest.json", json.dumps(said))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (damaged, "not a backup of this bot, or is damaged"),
        (without_a_table, "is damaged: tables/ledger_entries.jsonl cannot be read"),
        (of_the_future, "newer version"),
        (Path.unlink, "is not there"),
    ],
)
def test_a_file_that_cannot_be_restored_is_named_and_changes_nothing(
    spoil: Callable[[Path], object], says: str, bot: Commands, folder: Path
) -> None:
    file = folder / "a.backup"
    assert bot("backup", str(file)).code == 0
    again = bot("backup", str(file))
    assert (again.code, "exists; name another file" in again.said) == (2, True)
    spoil(file)
    before = (folder / "data" / "bot.db").read_bytes()
    refused = bot("restore", str(file), "--yes")
    assert (refused.code, says in refused.said) == (2, True), refused.said
    assert (folder / "data" / "bot.db").read_bytes() == before


def test_a_backup_made_under_another_key_is_refused(bot: Commands, folder: Path) -> None:
    file = str(folder / "a.backup")
    assert bot("backup", file, SECRET_KEY="the key that it was made under").code == 0
    refused = bot("restore", file, "--yes", SECRET_KEY="quite another key than before")
    assert (refused.code, "under another SECRET_KEY" in refused.said) == (2, True), refused.said


def test_the_key_that_lies_in_the_folder_goes_along_with_the_backup(bot: Commands, folder: Path) -> None:
    file, old, new = str(folder / "a.backup"), folder / "old", folder / "new"
    assert bot("backup", file, DATA_DIR=str(old)).code == 0
    usual = os.umask(0o022)  # a process of its own has it
    try:
        assert bot("restore", file, DATA_DIR=str(new)).code == 0
    finally:
        os.umask(usual)
    key = new / "secret.key"
    assert key.read_text() == (old / "secret.key").read_text()
    assert [path.name for path in (new, *new.rglob("*")) if path.stat().st_mode & 0o077] == [], "for its owner only"
    assert bot("history", DATA_DIR=str(new)).code == 0


async def test_a_backup_beside_an_object_store_says_that_its_images_are_not_in_it(bot: Commands, folder: Path) -> None:
    async with S3Emulator(folder / "s3") as s3:
        done = await bot.beside("backup", str(folder / "a.backup"), **s3.env())
    assert (done.code, "object store" in done.said) == (0, True), done.said
