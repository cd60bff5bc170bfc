"""`python -m bot usage`: what was spent, for whoever runs the bot."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.console import CommandError, Exit, err, operator, out, styled, table_of
from core.budgets.reports import UsageRow
from core.presentation.formats import cents

if TYPE_CHECKING:
    from bot.app import App

_BAR_CHARS = 30


async def usage(
    app: App,
    period: Annotated[str, typer.Argument(help="day, week, month or year")] = "month",
    member: Annotated[str | None, typer.Option(help="Id of one member")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV")] = False,
    chart: Annotated[Path | None, typer.Option(help="Write the chart to this PNG")] = None,
) -> Exit:
    """What was spent: totals, per day, by member."""
    if csv:
        typer.echo(await app.budget.usage_csv(operator(), period=period, member_id=member), nl=False)
        return Exit.OK
    report = await app.service.budgets.usage(operator(), period=period, member_id=member)
    money = "play money" if report.play_money and report.charged_nanousd else "charged"
    held = f", {cents(report.held_nanousd, 'en')} held" if report.held_nanousd else ""
    days = f"{report.first_day} to {report.last_day} ({report.timezone})"
    counted = f" {money}{held}, {report.jobs} jobs, {report.megapixels:g} MP, {days}"
    out.print(styled((cents(report.charged_nanousd, "en"), "bold"), counted))
    if report.days:
        most = max(row.charged_nanousd for row in report.days) or 1
        bars = ["█" * round(_BAR_CHARS * row.charged_nanousd / most) for row in report.days]
        _print_rows(("day", "USD", "jobs", "MP", ""), report.days, bars)
    for name, rows in (("member", report.members), ("model", report.models)):
        if len(rows) > (name == "model"):
            total = sum(row.charged_nanousd for row in rows) or 1
            shares = [f"{row.charged_nanousd / total:.0%}" for row in rows]
            _print_rows((name, "USD", "jobs", "MP", "share"), rows, shares)
    if chart is not None:
        drawn = await app.service.budgets.usage_chart(report, locale="en", dark=False)
        try:
            shutil.move(drawn, chart)
        except OSError as error:
            raise CommandError(f"{chart} cannot be written: {error.strerror}.") from None
        err.print(f"Chart written to {chart}.")
    return Exit.OK


def _print_rows(columns: Sequence[str], rows: Sequence[UsageRow], last: Sequence[str]) -> None:
    cells = (
        (row.label or row.key, cents(row.charged_nanousd, "en"), str(row.jobs), f"{row.megapixels:g}") for row in rows
    )
    table = table_of(columns, ((*row, end) for row, end in zip(cells, last, strict=True)), (*columns[1:4], "share"))
    out.print(table)
