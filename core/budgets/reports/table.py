"""Reports as CSV: one line per charged job. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from core.budgets.reports import ChargedJob
from core.domain.money import NANOUSD_PER_USD, PIXELS_PER_MEGAPIXEL

COLUMNS = (
    "day",
    "time",
    "job",
    "platform",
    "workspace",
    "channel",
    "member_id",
    "member",
    "megapixels",
    "estimate_usd",
    "charged_usd",
    "money",
    "paid_by",
    "fal_request",
    "model",
)


def jobs_csv(jobs: Iterable[ChargedJob], zone: ZoneInfo) -> str:
    """One line per job, oldest first. Times are of `zone` with their offset, money is US dollars."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for job in jobs:
        writer.writerow(
            [
                job.day,
                datetime.fromtimestamp(job.at, zone).isoformat(timespec="seconds"),
                job.job_id,
                job.platform,
                harmless(job.workspace_id),
                harmless(job.channel_id),
                harmless(job.user_id),
                harmless(job.user_name),
                f"{Decimal(job.pixels) / PIXELS_PER_MEGAPIXEL:.2f}",
                dollars(job.estimate_nanousd),
                dollars(job.charged_nanousd),
                "play" if job.play else "real",
                "sponsor" if job.sponsor_id else "member",
                job.request_id,
                job.model,
            ]
        )
    return buffer.getvalue()


def dollars(nanousd: int) -> str:
    """An exact amount with at least two decimals: `1.60`, `0.0125`."""
    whole, _, part = f"{Decimal(nanousd) / NANOUSD_PER_USD:.9f}".partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"


def harmless(text: str) -> str:
    """Names come from strangers: a leading sign would be run as a formula by spreadsheets."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
