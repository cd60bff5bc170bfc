"""Reports as CSV: one line per charged job. Pure."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from core.budgets.reports import ChargedJob
from core.domain.money import NANOUSD_PER_USD, PIXELS_PER_MEGAPIXEL

COLUMNS: Mapping[str, Callable[[ChargedJob, ZoneInfo], str]] = {
    "day": lambda job, _: job.day,
    "time": lambda job, zone: datetime.fromtimestamp(job.at, zone).isoformat(timespec="seconds"),
    "job": lambda job, _: job.job_id,
    "platform": lambda job, _: job.platform,
    "workspace": lambda job, _: harmless(job.workspace_id),
    "channel": lambda job, _: harmless(job.channel_id),
    "member_id": lambda job, _: harmless(job.user_id),
    "member": lambda job, _: harmless(job.user_name),
    "megapixels": lambda job, _: f"{Decimal(job.pixels) / PIXELS_PER_MEGAPIXEL:.2f}",
    "estimate_usd": lambda job, _: dollars(job.estimate_nanousd),
    "charged_usd": lambda job, _: dollars(job.charged_nanousd),
    "money": lambda job, _: "play" if job.play else "real",
    "paid_by": lambda job, _: "sponsor" if job.sponsor_id else "member",
    "fal_request": lambda job, _: job.request_id,
    "model": lambda job, _: job.model,
}


def jobs_csv(jobs: Iterable[ChargedJob], zone: ZoneInfo) -> str:
    """One line per job, oldest first. Times are of `zone` with their offset, money is US dollars."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([read(job, zone) for read in COLUMNS.values()] for job in jobs)
    return buffer.getvalue()


def dollars(nanousd: int) -> str:
    """An exact amount with at least two decimals: `1.60`, `0.0125`."""
    whole, _, part = f"{Decimal(nanousd) / NANOUSD_PER_USD:.9f}".partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"


def harmless(text: str) -> str:
    """Names come from strangers: a leading sign would be run as a formula by spreadsheets."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
