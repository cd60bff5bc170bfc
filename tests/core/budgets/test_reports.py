"""Periods, reports, CSV and charts."""

import asyncio
import csv
import io
import json
import sys
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from PIL import Image

from core.budgets.reports import (
    COLUMNS,
    ChargedJob,
    MemberDay,
    Period,
    UsageReport,
    build,
    dollars,
    jobs_csv,
    parse_period,
)
from core.budgets.reports.chart import ChartDrawer, ChartError
from core.budgets.reports.chart_spec import drawing
from core.budgets.reports.chart_worker import draw
from core.domain.errors import InvalidParameters
from core.presentation import LANGUAGES
from tests.core.storage.ledger_kit import NOON, USD

TODAY = date(2026, 11, 25)
"""A Wednesday."""


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("day", "2026-11-25", "2026-11-25"),
        ("Week", "2026-11-23", "2026-11-25"),
        ("month", "2026-11-01", "2026-11-25"),
        ("", "2026-11-01", "2026-11-25"),
        ("year", "2026-01-01", "2026-11-25"),
        ("yesterday", "2026-11-24", "2026-11-24"),
        ("2026-02", "2026-02-01", "2026-02-28"),
        ("2025", "2025-01-01", "2025-12-31"),
        ("2026-11-03", "2026-11-03", "2026-11-03"),
        ("2026-10-30..2026-11-02", "2026-10-30", "2026-11-02"),
        ("2026-11-20..2027-01-01", "2026-11-20", "2026-11-25"),
    ],
)
def test_periods_are_two_days_and_never_reach_into_the_future(text: str, first: str, last: str) -> None:
    period = parse_period(text, TODAY)
    assert (str(period.first), str(period.last)) == (first, last)


@pytest.mark.parametrize(
    "text", ["fortnight", "2026-02-30", "2027-01", "2026-11-09..2026-11-01", "1990-01-01..2026-01-01"]
)
def test_what_is_no_period_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(InvalidParameters) as refused:
        parse_period(text, TODAY)
    assert "week" in refused.value.problems[0].allowed


def rows(days: int, members: int, *, first: date = date(2026, 11, 1)) -> list[MemberDay]:
    return [
        MemberDay(
            str(first + timedelta(days=day)), "discord", f"id{who}", f"Member {who}", (who + 1) * USD, 1, 10_000_000
        )
        for day in range(days)
        for who in range(members)
    ]


def report(
    found: list[MemberDay], period: Period | None = None, *, scope: str = "workspace", budget: int | None = 25 * USD
) -> UsageReport:
    period = period or Period("month", date(2026, 11, 1), TODAY)
    return build(
        found,
        scope=scope,  # type: ignore[arg-type]
        period=period,
        timezone="UTC",
        held_nanousd=0,
        budget_day_nanousd=budget,
        play_money=False,
    )


def test_members_come_in_the_order_of_what_they_spent_and_the_sums_agree() -> None:
    found = report(rows(3, 4))
    assert [row.label for row in found.members] == ["Member 3", "Member 2", "Member 1", "Member 0"]
    assert found.charged_nanousd == sum(row.charged_nanousd for row in found.members) == 30 * USD
    assert found.charged_nanousd == sum(row.charged_nanousd for row in found.days)
    assert (found.jobs, found.megapixels) == (12, 120.0)


def test_a_report_about_one_person_lists_no_members() -> None:
    found = report(rows(3, 1), scope="user")
    assert (found.members, found.shares) == ((), ())


def test_the_chart_stacks_the_five_top_members_and_all_others() -> None:
    drawn = drawing(report(rows(25, 8)), "en", dark=True)
    assert drawn.words.names == ("Member 7", "Member 6", "Member 5", "Member 4", "Member 3", "others")
    assert len(drawn.values) == 25
    assert drawn.values[0] == (8, 7, 6, 5, 4, 1 + 2 + 3)
    assert drawn.budget == 25
    assert drawn.words.title == "$900.00"
    assert drawn.words.subtitle == "November 2026 · 200 images · 2,000 MP"


def test_a_budget_far_above_the_bars_is_told_but_does_not_flatten_them() -> None:
    drawn = drawing(report(rows(25, 1), scope="user", budget=500 * USD), "en", dark=True)
    assert drawn.budget is None
    assert drawn.words.budget == "Budget $500.00 a day"
    assert max(drawn.ticks) <= 2


def test_long_periods_have_a_bar_per_month_and_a_day_one_per_member() -> None:
    year = drawing(
        report(rows(300, 2, first=date(2026, 1, 1)), Period("year", date(2026, 1, 1), TODAY)), "en", dark=True
    )
    assert year.words.bars[:3] == ("Jan", "Feb", "Mar")
    assert sum(map(sum, year.values)) == 900
    day = drawing(report(rows(1, 3), Period("day", date(2026, 11, 1), date(2026, 11, 1))), "en", dark=True)
    assert (day.kind, day.words.bars, day.values) == (
        "members",
        ("Member 2", "Member 1", "Member 0"),
        ((3,), (2,), (1,)),
    )


def test_every_language_writes_every_word_of_a_chart() -> None:
    for locale in LANGUAGES:
        words = drawing(report(rows(25, 8)), locale, dark=True).words
        assert all((words.title, words.subtitle, words.budget, words.empty, *words.names, *words.ticks)), locale


def drawn(found: UsageReport, *, dark: bool) -> bytes:
    """As the worker draws it, in this process, which has loaded matplotlib only once."""
    return draw(json.loads(json.dumps(asdict(drawing(found, "ja", dark=dark)))))


@pytest.mark.parametrize("kind", ["month", "day", "year", "empty", "odd"])
def test_a_chart_is_a_picture_of_the_right_size_in_light_and_dark(kind: str) -> None:
    reports = {
        "month": report(rows(25, 8)),
        "day": report(rows(1, 12), Period("day", date(2026, 11, 1), date(2026, 11, 1))),
        "year": report(rows(300, 3, first=date(2026, 1, 1)), Period("year", date(2026, 1, 1), TODAY)),
        "empty": report([]),
        "odd": report(
            [
                MemberDay("2026-11-02", "slack", "U1", "$x^2$ 🎨🎨 \u202e\u0000 <b>", 1, 1, 1),
                MemberDay("2026-11-03", "slack", "U2", "名前" * 60, 10**17, 1, 1),
                MemberDay("2026-11-03", "slack", "U3", "", -5, 0, 0),
            ]
        ),
    }
    for dark in (True, False):
        png = drawn(reports[kind], dark=dark)
        picture = Image.open(io.BytesIO(png)).convert("RGB")
        assert picture.size == (1600, 896)
        corner = picture.getpixel((2, 2))
        assert isinstance(corner, tuple)
        assert (sum(corner) < 150) is dark
        assert len(picture.getcolors(10**6) or []) > 10, "something is drawn"
        assert len(png) < 400_000


async def test_a_chart_is_drawn_by_another_process() -> None:
    path = await ChartDrawer().draw(report(rows(25, 8)), locale="ja", dark=True)
    assert path.read_bytes() == drawn(report(rows(25, 8)), dark=True)
    path.unlink()


async def test_a_drawing_that_takes_too_long_is_stopped() -> None:
    with pytest.raises(ChartError):
        await ChartDrawer(timeout_s=0.01).draw(report(rows(3, 2)), locale="en", dark=True)


async def test_a_worker_that_is_fed_nonsense_ends_with_an_error_and_no_picture() -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "core.budgets.reports.chart_worker",
        cwd=Path(__file__).parents[3],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(worker.communicate(json.dumps({"values": 1}).encode()), 60)
    assert worker.returncode != 0
    assert out == b""


def charged(name: str, nanousd: int = 1_600_000_000) -> ChargedJob:
    return ChargedJob(
        "0abc", NOON, "2026-11-23", "discord", "w1", "c1", "u1", name, 2 * USD, nanousd, 15_360_000, "", False, "req-1"
    )


def test_the_csv_has_one_line_per_job_with_exact_money_and_local_time() -> None:
    lines = list(csv.DictReader(io.StringIO(jobs_csv([charged("Ann")], ZoneInfo("Europe/Berlin")))))
    assert tuple(lines[0]) == tuple(COLUMNS)
    assert lines[0] == {
        "day": "2026-11-23",
        "time": "2026-11-23T13:00:00+01:00",
        "job": "0abc",
        "platform": "discord",
        "workspace": "w1",
        "channel": "c1",
        "member_id": "u1",
        "member": "Ann",
        "megapixels": "15.36",
        "estimate_usd": "2.00",
        "charged_usd": "1.60",
        "money": "real",
        "paid_by": "member",
        "fal_request": "req-1",
        "model": "flux",
    }


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@x", "\tx", "＝cmd()"])
def test_names_cannot_become_formulas(name: str) -> None:
    (line,) = csv.DictReader(io.StringIO(jobs_csv([charged(name)], ZoneInfo("UTC"))))
    assert line["member"] == f"'{name}"


def test_money_in_files_is_exact() -> None:
    assert [dollars(n) for n in (0, 1, 12_500_000, 23_100_000_000)] == ["0.00", "0.000000001", "0.0125", "23.10"]
