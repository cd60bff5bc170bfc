"""`python -m bot reconcile` and `purge`: the operator's two housekeeping commands."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from bot.cli.console import CommandError, Exit, ask, err, moment, out
from core.budgets.billing_differences import Charge, Comparison, Difference, compare
from core.budgets.erased_requests import ErasedRequests
from core.budgets.reconcile import day_balances
from core.domain.job import Job
from core.domain.money import usd
from core.ports import BillingEvent
from core.presentation.limit_texts import both_books
from core.storage.ledger.rows import read_holds
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
    since = app.clock.now() - days * _DAY_S
    jobs = await _sent(app, since)
    events = await _billed(app, jobs, since)
    charges = [*await _charges(app, jobs), *await _erased(app, since)]
    found = compare(charges, events, now=app.clock.now())
    for day in day_balances(charges, events, app.ledger.settings.zone):
        out.print(both_books(day.day, day.ledger_nanousd, day.provider_nanousd, "en"))
    _print(found, days)
    if not fix:
        return Exit.FAILED if found.differences else Exit.OK
    mended = [difference for difference in found.differences if await _mend(app, difference)]
    err.print(f"{len(mended)} of {len(found.differences)} differences corrected in the ledger.")
    return Exit.OK if len(mended) == len(found.differences) else Exit.FAILED


async def _sent(app: App, since: float) -> list[Job]:
    jobs: list[Job] = []
    for _ in range(_PAGES):
        page = await app.store.sent_since(since, after_id=jobs[-1].id if jobs else "")
        jobs += page
        if not page:
            break
    return jobs


async def _charges(app: App, jobs: Sequence[Job]) -> list[Charge]:
    """From the ledger, not from the jobs: the ledger is the truth about money."""
    keys = [job.id for job in jobs]
    holds = await app.ledger.database.read(lambda connection: read_holds(connection, keys))
    charges = []
    for job in jobs:
        hold, remote = holds.get(job.id), job.remote
        if remote is None or not remote.request_id or (hold is not None and hold.play != (not app.upscaler.real_money)):
            continue
        settled = job.state.terminal or job.receipt is not None
        charged = hold.charged_nanousd if hold is not None else 0
        charges.append(Charge(job.id, remote.request_id, remote.intent_at or job.created_at, charged, settled))
    return charges


async def _erased(app: App, since: float) -> list[Charge]:
    """What the ledger has for requests whose jobs their owners erased."""
    gone = [one for one in await ErasedRequests(app.state, app.clock).all() if one.at >= since]
    holds = await app.ledger.database.read(lambda connection: read_holds(connection, [one.job_id for one in gone]))
    return [
        Charge(one.job_id, one.request_id, one.at, hold.charged_nanousd)
        for one in gone
        if (hold := holds.get(one.job_id)) is not None and hold.play == (not app.upscaler.real_money)
    ]


async def _billed(app: App, jobs: Sequence[Job], since: float) -> Sequence[BillingEvent]:
    """Everything billed for our model in the time, also what no job of ours asked for, where the provider tells."""
    if isinstance(app.upscaler, FalUpscaler):
        if app.settings.fal_admin_key is None:
            raise CommandError("Set FAL_ADMIN_KEY (a key with ADMIN scope, https://fal.ai/dashboard/keys) first.")
        return await app.upscaler.billing_window(since, app.clock.now())
    ids = [job.remote.request_id for job in jobs if job.remote is not None]
    return await app.upscaler.billing_events(ids)


async def _mend(app: App, difference: Difference) -> bool:
    """Make our charge what was billed, by an entry of its own. What nobody of ours asked for cannot be charged."""
    if difference.kind == "unknown_request":
        return False
    amount = difference.theirs_nanousd or 0
    units = difference.units if difference.units else None
    await app.ledger.correct(difference.job_id, amount_nanousd=amount, megapixels=units, note="reconciled")
    job = await app.store.get(difference.job_id)
    if job is not None and job.receipt is not None:
        receipt = dataclasses.replace(job.receipt, charged_nanousd=amount, basis="units", units=difference.units)
        await app.store.update(job.id, receipt=receipt)
    return True


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
    """Delete pictures of jobs that ended more than so many days ago, here and at fal."""
    days = app.settings.retention_days if older_than_days is None else older_than_days
    before = app.clock.now() - days * _DAY_S
    question = f"Delete the pictures of every job that ended more than {days} days ago?"
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
    out.print(f"Deleted the pictures of {deleted} jobs.")
    return Exit.OK
