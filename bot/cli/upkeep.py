"""The operator's maintenance commands: `reconcile`, `purge`, `backup`, `restore`."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.console import CommandError, Exit, app_command, ask, counted, disk_errors, err, format_time, out, table_of
from core.domain.errors import ProviderError, StorageUnavailable
from core.presentation import file_size
from core.presentation.formats import usd

if TYPE_CHECKING:
    from bot.app import App
    from bot.settings import Settings
    from core.budgets.billing_differences import Comparison, Difference
    from core.storage.backup import Contents
    from core.storage.encryption import Vault

_DAY_S = 86_400
_PAGES = 2_000
_KINDS = {
    "amount": "other amount",
    "not_charged": "billed, not charged",
    "not_billed": "charged, not billed",
    "unknown_request": "billed, no job known",
    "unreadable": "bill not readable",
}
_NEEDS = "that takes a job that is known here, and a bill of fal's that can be read"
_NO_BILL = "fal did not list what it billed. Try again in a few minutes; `doctor` tells whether it takes FAL_ADMIN_KEY."

upkeep = typer.Typer()


@upkeep.command()
@app_command
async def reconcile(
    app: App,
    days: Annotated[int, typer.Option(min=1, max=90, help="How far back")] = 7,
    fix: Annotated[bool, typer.Option("--fix", help="Correct charges to what fal billed")] = False,
) -> Exit:
    """Compare our charges with fal's bill.

    Lists every difference. Needs FAL_ADMIN_KEY. Exit code 1 if there is any.
    """
    from core.budgets.reconcile import Reconciler

    if app.settings.backend == "fal" and app.settings.fal_admin_key is None:
        raise CommandError("Set FAL_ADMIN_KEY (a key with ADMIN scope, https://fal.ai/dashboard/keys) first.")
    books = Reconciler(app.store, app.ledger, app.upscaler, app.state)
    try:
        done = await books.compare(app.clock.now() - days * _DAY_S, correct_all=fix)
    except ProviderError:
        raise CommandError(_NO_BILL, Exit.FAILED) from None
    for day in done.days:
        out.print(f"{day.day}: ledger {usd(day.ledger_nanousd)}, fal {usd(day.provider_nanousd)}")
    _print(done.found, days)
    left = len(done.found.differences) - len(done.corrected)
    if done.corrected:
        err.print(f"{len(done.corrected)} of {len(done.found.differences)} differences corrected in the ledger.")
    if fix and left:
        err.print(f"{counted(left, 'difference')} cannot be corrected: {_NEEDS}.")
    return Exit.FAILED if left else Exit.OK


def _print(found: Comparison, days: int) -> None:
    out.print(
        f"{counted(found.compared, 'request')} in {counted(days, 'day')}: {usd(found.ours_nanousd)} charged by us, "
        f"{usd(found.theirs_nanousd)} billed, {counted(len(found.differences), 'difference')}."
    )
    rows = [_row(difference) for difference in found.differences]
    if rows and out.is_terminal:
        out.print(table_of(("what", "when", "job", "request id", "ours", "billed"), rows))
    elif rows:  # a pipe or a file has no width, and ids must not be truncated
        out.print("\n".join(map("\t".join, rows)))


def _row(difference: Difference) -> tuple[str, ...]:
    ours, theirs = (
        "-" if amount is None else usd(amount) for amount in (difference.ours_nanousd, difference.theirs_nanousd)
    )
    when, job = format_time(difference.at), difference.job_id or "-"
    return _KINDS[difference.kind], when, job, difference.request_id, ours, theirs


@upkeep.command()
@app_command
async def purge(
    app: App,
    older_than_days: Annotated[int | None, typer.Option(min=0, help="Default: RETENTION_DAYS; 0: all of them")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")] = False,
) -> Exit | None:
    """Delete old images, here and at fal.

    Money rows stay.
    """
    days = app.settings.retention_days if older_than_days is None else older_than_days
    before = app.clock.now() - days * _DAY_S
    question = f"Delete the images of every job that ended more than {counted(days, 'day')} ago?"
    if not yes and not await ask(question):
        err.print("Nothing was deleted; say --yes to do it without a question.")
        return Exit.CANCELLED
    deleted = 0
    for _ in range(_PAGES):
        page = await app.store.finished_before(before)
        for job in page:
            try:
                await app.members.erase_images(job)
            except StorageUnavailable:
                what = f"The object store does not answer. Deleted the images of {counted(deleted, 'job')} until then."
                raise CommandError(what, Exit.FAILED) from None
            deleted += 1
        if not page:
            break
    out.print(f"Deleted the images of {counted(deleted, 'job')}.")
    return None


@upkeep.command()
@app_command
async def backup(
    app: App,
    file: Annotated[Path, typer.Argument(help="The file to write, e.g. upscale-bot.backup")],
    images: Annotated[bool, typer.Option("--images", "--pictures", help="With the images that are still kept")] = False,
) -> None:
    """Copy everything that is stored into one file.

    Jobs, money, settings and the key; the bot may run meanwhile. The file holds secrets: keep it like a password.
    """
    from bot import VERSION
    from bot.providers import PICTURE_FOLDERS
    from core.storage.backup import KEY_FILE, write_backup

    if file.exists():
        raise CommandError(f"{file} exists; name another file.")
    data_dir = app.settings.data_dir
    folders = [data_dir / name for name in PICTURE_FOLDERS] if images else []
    with disk_errors(f"{file} cannot be written"):
        found = await write_backup(app.database, file, version=VERSION, key_file=data_dir / KEY_FILE, folders=folders)
    with_key = "the key" if found.has_key else "without a key: SECRET_KEY is in your settings, keep it beside the file"
    with_images = f", {counted(found.pictures, 'file')} of images" if images else ""
    size = file_size(file.stat().st_size, "en")
    out.print(f"{file}: {counted(found.rows['jobs'], 'job')}{with_images}, {with_key}; {size}.")
    if app.settings.files_url:
        out.print(
            "Images in the object store of FILES_URL are not in it; the store keeps them, or copy it by its own means."
        )


@upkeep.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `backup` wrote")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")] = False,
) -> None:
    """Replace everything that is stored by a backup.

    The bot must be stopped. Nothing is posted or paid again by itself afterwards.
    """
    from bot.cli.session import plain_errors, read_settings
    from core.storage.backup import read_contents

    found = read_settings()
    contents = read_contents(file)
    with plain_errors(found):
        asyncio.run(_restore(found, file, contents, yes=yes))


async def _restore(found: Settings, file: Path, contents: Contents, *, yes: bool) -> None:
    from bot.providers import PICTURE_FOLDERS
    from core.engine.replicas import anyone_alive
    from core.storage import backup as stored
    from core.storage.database import Database
    from core.storage.encryption import KeyChanged
    from core.storage.files.private_folder import make_private

    make_private(found.data_dir)
    database = Database.connect(found.database)
    try:
        if await anyone_alive(database, found.data_dir / "replicas"):
            raise CommandError("The bot is running with this database; stop it first.")
        replaced = await stored.stored_jobs(database)
        jobs = counted(contents.rows["jobs"], "job")
        err.print(f"Backup of {format_time(contents.made_at)}, version {contents.version}: {jobs}.")
        question = f"Replace everything that is stored now ({counted(replaced, 'job')}) by it?"
        if replaced and not yes and not await ask(question):
            raise CommandError("Nothing was changed. To restore without a question: --yes", Exit.CANCELLED)
        key, vault = _vault(found, file)
        unfinished = await stored.restore(database, file, vault, at=time.time())
    except KeyChanged:
        raise CommandError("The backup was made under another SECRET_KEY. Set that one; nothing was changed.") from None
    finally:
        await database.close()
    if key is not None:
        _put_key(found.data_dir / stored.KEY_FILE, key)
    pictures = stored.restore_pictures(file, found.data_dir, PICTURE_FOLDERS)
    out.print(f"Restored {jobs} and {counted(pictures, 'file')} of images.")
    if unfinished:
        out.print(
            f"Under way then: {unfinished}. None of these is paid for or posted again: what the model has made is "
            "put into the history of whoever asked, the rest ends uncharged."
        )
    out.print("What fal billed after the backup was made is listed by: python -m bot reconcile")


def _vault(found: Settings, file: Path) -> tuple[str | None, Vault]:
    """Return the backup's key, if it must be written, and the vault that decrypts the backup's rows."""
    from bot.settings import secret
    from core.storage import backup as stored
    from core.storage.encryption import Vault

    own, old = secret(found.secret_key), secret(found.secret_key_old)
    key = stored.key_in(file)
    if own is not None:
        return None, Vault(own, old=old or key)
    return key, Vault(key, old=old) if key is not None else Vault.open(None, found.data_dir, old=old)


def _put_key(path: Path, key: str) -> None:
    """Write the backup's key; an existing key file is renamed and kept."""
    if path.exists():
        if path.read_text() == key:
            return
        path.rename(path.with_name(f"{path.name}.{int(time.time())}.{secrets.token_hex(2)}"))
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key)
