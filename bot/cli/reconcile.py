"""`python -m bot reconcile` and `purge`: the operator's two housekeeping commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from bot.cli.console import CommandError, Exit, ask, err, moment, out
from core.budgets.billing_differences import Comparison, Difference
from core.budgets.reconcile import Books
from core.domain.money import usd
from core.presentation.limit_texts import both_books
from core.upscalers.fal import FalUpscaler

if TYPE_CHECKING:
    from bot.app import App

_DAY_S = 86_400
_PAGES = 2_000
_KINDS = {
    "amount": "other amount",
    "not_charged": "billed, not charged",
    "not_billed": "charged, not billed",
    "unknown_request": "billed, no job known",
}


async def reconcile(app: App, days: int, *, fix: bool) -> Exit:
    """List every difference of the last `days`; with `fix` correct our charges. Failed while differences remain."""
    if isinstance(app.upscaler, FalUpscaler) and app.settings.fal_admin_key is None:
        raise CommandError("Set FAL_ADMIN_KEY (a key with ADMIN scope, https://fal.ai/dashboard/keys) first.")
    books = Books(app.store, app.ledger, app.upscaler, app.state)
    done = await books.compare(app.clock.now() - days * _DAY_S, correct_all=fix)
    for day in done.days:
        out.print(both_books(day.day, day.ledger_nanousd, day.provider_nanousd, "en"))
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
    if not found.differences:
        return
    rows = [_row(difference) for difference in found.differences]
    if not out.is_terminal:  # a pipe or a file has no width, and an id that is cut is none
        for row in rows:
            out.print("\t".join(row), soft_wrap=True, markup=False, highlight=False)
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("what", "when", "job", "request id", "ours", "billed"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    out.print(table)


def _row(difference: Difference) -> tuple[str, ...]:
    ours, theirs = (
        "-" if amount is None else usd(amount) for amount in (difference.ours_nanousd, difference.theirs_nanousd)
    )
    when, job = moment(difference.at), difference.job_id or "-"
    return _KINDS[difference.kind], when, job, difference.request_id, ours, theirs


async def purge(app: App, older_than_days: int | None, *, yes: bool) -> Exit:
    """Delete images of jobs that ended more than so many days ago, here and at fal."""
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
