"""The key file and the data folder: complete or absent, and accessible by the owner only."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from core.ports import NotUsable
from core.storage.database import Database
from core.storage.encryption import Vault
from core.storage.files.job_files import JobFiles
from core.storage.files.private_folder import make_private
from tests.fakes.core import closing


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"x" * 31, b"\x00" * 64, b"\xff" * 64])
def test_an_empty_or_short_key_file_is_never_used(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret.key").write_bytes(content)
    with pytest.raises(NotUsable, match=r"secret\.key is empty or cut short"):
        Vault.open(None, tmp_path)
    assert (tmp_path / "secret.key").read_bytes() == content


def test_a_full_disk_leaves_no_key_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        Vault.open(None, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_key_file_is_made_once_for_its_owner_and_opens_what_it_sealed(tmp_path: Path) -> None:
    encrypted = Vault.open(None, tmp_path).encrypt({"token": "x"})
    assert mode(tmp_path / "secret.key") == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]
    assert Vault.open(None, tmp_path).decrypt(encrypted) == {"token": "x"}


def test_a_file_system_without_hard_links_still_gets_a_whole_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    encrypted = Vault.open(None, tmp_path).encrypt(1)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]
    assert Vault.open(None, tmp_path).decrypt(encrypted) == 1


async def test_everything_in_the_data_folder_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "jobs" / "a").mkdir(parents=True)
    old = folder / "jobs" / "a" / "result.png"
    old.write_bytes(b"picture")
    outside = tmp_path / "elsewhere"
    outside.write_bytes(b"not ours")
    (folder / "link").symlink_to(outside)
    outside_before = mode(outside)
    make_private(folder)
    async with closing(Database.connect(f"sqlite:///{folder / 'bot.db'}")) as database:
        async with database.write() as connection:
            await connection.execute(text("CREATE TABLE something (x INTEGER)"))
        found = [path for path in folder.rglob("*") if not path.is_symlink()]
        assert {path.name for path in found} >= {"bot.db", "bot.db-wal", "bot.db-shm", "result.png"}
        assert [path.name for path in (folder, *found) if mode(path) & 0o077] == []
    assert mode(outside) == outside_before


@pytest.mark.parametrize(
    "stored", ["../else", "/etc/passwd", "jobs/../../else", "uploads/./../..", "../data-of-another"]
)
def test_a_stored_path_that_leads_out_of_the_data_folder_is_refused(stored: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    files = JobFiles(tmp_path / "link")
    with pytest.raises(ValueError, match="leads out"):
        files.absolute(stored)
    assert files.absolute("jobs/ab/../cd/input") == tmp_path / "data" / "jobs" / "cd" / "input"
