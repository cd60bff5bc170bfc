"""The operator's commands that look after what is stored: `reconcile`, `purge`, `backup`, `restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.console import CommandError, Exit, ask, err, leave, moment, opens_app, out, table_of
from core.domain.money import usd

if TYPE_CHECKING:
    from bot.app import App
    from core.budgets.billing_differences import Comparison, Difference

_DAY_S = 86_400
_PAGES = 2_000
_KINDS = {
    "amount": "other amount",
    "not_charged": "billed, not charged",
    "not_billed": "charged, not billed",
    "unknown_request": "billed, no job known",
}

upkeep = typer.Typer()


@upkeep.command()
@opens_app
async def reconcile(
    app: App,
    days: Annotated[int, typer.Option(min=1, max=90, help="How far back")] = 7,
    fix: Annotated[bool, typer.Option("--fix", help="Correct charges to what fal billed")] = False,
) -> Exit:
    """Compare our charges with fal's bill.

    Lists every difference. Needs FAL_ADMIN_KEY. Exit code 1 if there is any.
    """
    from core.budgets.reconcile import Books

    if app.settings.backend == "fal" and app.settings.fal_admin_key is None:
        raise CommandError("Set FAL_ADMIN_KEY (a key with ADMIN scope, https://fal.ai/dashboard/keys) first.")
    books = Books(app.store, app.ledger, app.upscaler, app.state)
    done = await books.compare(app.clock.now() - days * _DAY_S, correct_all=fix)
    for day in done.days:
        out.print(f"{day.day}: ledger {usd(day.ledger_nanousd)}, fal {usd(day.provider_nanousd)}")
    _print(done.found, days)
    left = len(done.found.differences) - len(done.corrected)
    if done.corrected:
        err.print(f"{len(done.corrected)} of {len(done.found.differences)} differences corrected in the ledger.")
    return Exit.FAILED if left else Exit.OK


def _print(found: Comparison, days: int) -> None:
    out.print(
        f"{found.compared} requests in {days} days: {usd(found.ours_nanousd)} charged by us, "
        f"{usd(found.theirs_nanousd)} billed, {len(found.differences)} differences."
    )
    rows = [_row(difference) for difference in found.differences]
    if rows and out.is_terminal:
        out.print(table_of(("what", "when", "job", "request id", "ours", "billed"), rows))
    elif rows:  # a pipe or a file has no width, and an id that is cut is none
        out.print("\n".join(map("\t".join, rows)))


def _row(difference: Difference) -> tuple[str, ...]:
    ours, theirs = (
        "-" if amount is None else usd(amount) for amount in (difference.ours_nanousd, difference.theirs_nanousd)
    )
    when, job = moment(difference.at), difference.job_id or "-"
    return _KINDS[difference.kind], when, job, difference.request_id, ours, theirs


@upkeep.command()
@opens_app
async def purge(
    app: App,
    older_than_days: Annotated[int | None, typer.Option(min=0, help="Default: RETENTION_DAYS; 0: all of them")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")] = False,
) -> Exit:
    """Delete old images, here and at fal.

    Money rows stay.
    """
    days = app.settings.retention_days if older_than_days is None else older_than_days
    before = app.clock.now() - days * _DAY_S
    question = f"Delete the images of every job that ended more than {days} days ago?"
    if not yes and not await ask(question):
        err.print("Nothing was deleted; say --yes to do it without a question.")
        return Exit.CANCELLED
    deleted = 0
    for _ in range(_PAGES):
        page = await app.store.finished_before(before)
        for job in page:
            await app.members.erase_images(job)
        deleted += len(page)
        if not page:
            break
    out.print(f"Deleted the images of {deleted} jobs.")
    return Exit.OK


@upkeep.command()
@opens_app
async def backup(
    app: App,
    file: Annotated[Path, typer.Argument(help="The file to write, e.g. upscale-bot.backup")],
    images: Annotated[bool, typer.Option("--images", "--pictures", help="With the images that are still kept")] = False,
) -> Exit:
    """Copy everything that is stored into one file.

    Jobs, money, settings and the key; the bot may run meanwhile. The file holds secrets: keep it like a password.
    """
    from bot.cli.backup import make_backup

    return await make_backup(app, file, images=images)


@upkeep.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `backup` wrote")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")] = False,
) -> None:
    """Replace everything that is stored by a backup.

    The bot must be stopped. Nothing is posted or paid again by itself afterwards.
    """
    from bot.cli.backup import restore_backup

    leave(restore_backup(file, yes=yes))
