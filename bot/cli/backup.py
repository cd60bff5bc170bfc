"""`python -m bot backup FILE` and `restore FILE`."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bot import VERSION
from bot.cli.console import CommandError, Exit, ask, err, moment, out
from bot.cli.session import plain_errors, read_settings
from bot.providers import PICTURE_FOLDERS
from bot.settings import Settings, secret
from core.engine.replicas import anyone_alive
from core.presentation import mb
from core.storage import backup
from core.storage.backup import KEY_FILE, Contents
from core.storage.database import Database
from core.storage.encryption import KeyChanged, Vault

if TYPE_CHECKING:
    from bot.app import App


async def make_backup(app: App, file: Path, *, images: bool) -> Exit:
    """Write the backup and say what is in it."""
    if file.exists():
        raise CommandError(f"{file} exists; name another file.")
    data_dir = app.settings.data_dir
    folders = [data_dir / name for name in PICTURE_FOLDERS] if images else []
    try:
        found = await backup.write_backup(
            app.database, file, version=VERSION, key_file=data_dir / KEY_FILE, folders=folders
        )
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}.") from None
    with_key = "the key" if found.has_key else "without a key: SECRET_KEY is in your settings, keep it beside the file"
    with_images = f", {found.pictures} files of images" if images else ""
    size = mb(file.stat().st_size, "en")
    out.print(f"{file}: {found.rows['jobs']} jobs{with_images}, {with_key}; {size}.")
    if app.settings.files_url:
        out.print(
            "Images in the object store of FILES_URL are not in it; the store keeps them, or copy it by its own means."
        )
    return Exit.OK


def restore_backup(file: Path, *, yes: bool) -> Exit:
    """Replace what is stored by the backup, after asking."""
    found = read_settings()
    contents = backup.read_contents(file)
    with plain_errors(found):
        return asyncio.run(_restore(found, file, contents, yes=yes))


async def _restore(found: Settings, file: Path, contents: Contents, *, yes: bool) -> Exit:
    database = Database.connect(found.database)
    try:
        if await anyone_alive(database, found.data_dir / "replicas"):
            raise CommandError("The bot is running with this database; stop it first.")
        replaced = await backup.stored_jobs(database)
        err.print(f"Backup of {moment(contents.made_at)}, version {contents.version}: {contents.rows['jobs']} jobs.")
        question = f"Replace everything that is stored now ({replaced} jobs) by it?"
        if replaced and not yes and not await ask(question):
            raise CommandError("Nothing was changed. To restore without a question: --yes", Exit.CANCELLED)
        key, vault = _vault(found, file)
        unfinished = await backup.restore(database, file, vault, at=time.time())
    except KeyChanged:
        raise CommandError("The backup was made under another SECRET_KEY. Set that one; nothing was changed.") from None
    finally:
        await database.close()
    if key is not None:
        _put_key(found.data_dir / KEY_FILE, key)
    pictures = backup.restore_pictures(file, found.data_dir, PICTURE_FOLDERS)
    out.print(f"Restored {contents.rows['jobs']} jobs and {pictures} files of images.")
    if unfinished:
        out.print(
            f"Under way then: {unfinished}. None of these is paid for or posted again: what the model has made is "
            "put into the history of whoever asked, the rest ends uncharged."
        )
    out.print("What fal billed after the backup was made is listed by: python -m bot reconcile")
    return Exit.OK


def _vault(found: Settings, file: Path) -> tuple[str | None, Vault]:
    """The key that the backup brings, where one is to be written, and the vault to open its rows with."""
    own, old = secret(found.secret_key), secret(found.secret_key_old)
    key = backup.key_in(file)
    if own is not None:
        return None, Vault(own, old=old or key)
    return key, Vault(key, old=old) if key is not None else Vault.open(None, found.data_dir, old=old)


def _put_key(path: Path, key: str) -> None:
    """Write the backup's key; one that was there is kept beside it under a name of its own."""
    if path.exists():
        if path.read_text() == key:
            return
        path.rename(path.with_name(f"{path.name}.{int(time.time())}.{secrets.token_hex(2)}"))
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key)
