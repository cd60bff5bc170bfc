"""`make bench` (`python -m benchmarks`): every figure that the project promises, measured now, in one table.

Each row runs in a process of its own, so that none is measured with another's memory. `--full` adds 5,000 waiting
jobs and a soak of ten minutes; `--only WORD` runs the rows whose name holds the word. The emulators stand for fal and
Discord; the baseline is in `baseline.py`.
"""

import argparse
import asyncio
import inspect
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

Figures = Mapping[str, Any]
ROW_LIMIT_S = 900


@dataclass(frozen=True)
class Line:
    """One line of the table. `reached` None: there is no target."""

    what: str
    target: str
    ours: str
    baseline: str
    reached: bool | None


@dataclass(frozen=True)
class Row:
    """What to measure, and how to tell it. `full`: only with `--full`."""

    name: str
    calls: Sequence[tuple[str, Sequence[Any]]]
    tell: Callable[..., Iterator[Line]]
    full: bool = False


def _requests(f: Figures) -> Iterator[Line]:
    ratio = f["baseline"] / f["ours"]
    reached = f["ours"] <= 8 and ratio >= 40
    yield Line(
        "requests to fal, 53 s job", "≤ 8 and ≤ 1/40", f"{f['ours']} (1/{ratio:.0f})", str(f["baseline"]), reached
    )


def _acknowledged(count: int, limit_ms: int) -> Callable[[Figures], Iterator[Line]]:
    def tell(f: Figures) -> Iterator[Line]:
        ours = f"p99 {f['p99']:.0f} ms (p50 {f['p50']:.0f})"
        yield Line(
            f"Discord event → acknowledged, {count} at once", f"p99 ≤ {limit_ms} ms", ours, "", f["p99"] <= limit_ms
        )

    return tell


def _final(f: Figures) -> Iterator[Line]:
    ours, plain = f"{f['ours']:.0f} ms", f"{f['baseline']:.0f} ms"
    yield Line("fal completed → final message, 1 MB", "p50 ≤ 50 ms", ours, plain, f["ours"] <= 50)


def _phone(f: Figures) -> Iterator[Line]:
    yield Line("command with a 12 MP JPEG → submitted", "p50 ≤ 1.0 s", f"{f['seconds']:.2f} s", "", f["seconds"] <= 1)


def _waiting(count: int, cpu_limit: int) -> Callable[[Figures], Iterator[Line]]:
    def tell(f: Figures) -> Iterator[Line]:
        ours = f"{f['kb']:.0f} KB, {f['cpu']:.1f} %"
        target = f"≤ 40 KB, ≤ {cpu_limit} % of a core"
        yield Line(f"{count:,} jobs waiting: each, all", target, ours, "", f["kb"] <= 40 and f["cpu"] <= cpu_limit)
        yield Line(f"{count:,} jobs waiting: longest block", "", f"{f['block_ms']:.0f} ms", "", None)

    return tell


def _large(f: Figures, plain: Figures) -> Iterator[Line]:
    what = f"20 results of 64 MP ({f['result_mb']:.0f} MB each)"
    ours, theirs = f"{f['mb']:.0f} MB in {f['seconds']:.0f} s", f"{plain['mb']:.0f} MB in {plain['seconds']:.0f} s"
    yield Line(f"{what}: memory above idle", "≤ 100 MB", ours, theirs, f["mb"] <= 100)
    block, their_block = f"{f['block_ms']:.0f} ms", f"{plain['block_ms']:.0f} ms"
    yield Line(f"{what}: longest block of the loop", "≤ 50 ms", block, their_block, f["block_ms"] <= 50)


def _staging(f: Figures, plain: Figures) -> Iterator[Line]:
    what = f"staging an input of {f['input_mb']:.0f} MB: memory above idle"
    yield Line(what, "≤ 20 MB", f"{f['mb']:.0f} MB", f"{plain['mb']:.0f} MB", f["mb"] <= 20)


def _idle(f: Figures) -> Iterator[Line]:
    ours = f"{f['mb']:.0f} MB, {f['cpu']:.1f} %"
    yield Line("idle process", "≤ 150 MB, ≤ 2 % of a core", ours, "", f["mb"] <= 150 and f["cpu"] <= 2)
    yield Line("start → ready", "≤ 2 s", f"{f['ready_s']:.1f} s", "", f["ready_s"] <= 2)


def _takeover(f: Figures) -> Iterator[Line]:
    ours = f"p50 {f['p50']:.1f} s, max {f['max']:.1f} s"
    what = "kill -9 with 200 jobs at fal → gone on with by another process, PostgreSQL"
    yield Line(what, "p50 ≤ 2 s, max ≤ 5 s", ours, "", f["p50"] <= 2 and f["max"] <= 5)


def _text(f: Figures) -> Iterator[Line]:
    yield Line("20 kB of a stranger's text, slowest reader", "≤ 50 ms", f"{f['ms']:.0f} ms", "", f["ms"] <= 50)


def _page(f: Figures) -> Iterator[Line]:
    yield Line("page: opening a result of 100 MP", "≤ 1 s", f"{f['seconds']:.2f} s", "", f["seconds"] <= 1)
    ours = f"{f['first_mb']:.0f} MB, {f['most_mb']:.0f} MB at 100 and 400 %"
    yield Line("… memory of its tab", "≤ 300 MB", ours, "", f["most_mb"] <= 300)


def _rate(name: str, least: int) -> Callable[[Figures, Figures], Iterator[Line]]:
    def tell(f: Figures, grown: Figures) -> Iterator[Line]:
        ours = f"{f['rate']:.0f}/s, {f['cpu_ms']:.0f} ms of CPU each"
        yield Line(f"whole jobs per second, {name}", f"≥ {least}", ours, "", f["rate"] >= least)
        change = 100 * (grown["rate"] / f["rate"] - 1)
        with_more = f"{grown['rate']:.0f}/s ({change:+.0f} %)"
        yield Line(f"… with 10× the jobs in the database, {name}", "≥ −10 %", with_more, "", change >= -10)

    return tell


def _ledger(name: str, least: int) -> Callable[[Figures], Iterator[Line]]:
    def tell(f: Figures) -> Iterator[Line]:
        ours = f"{f['small']:,.0f}/s (10× rows: {f['large']:,.0f}/s)"
        yield Line(f"ledger decisions per second, {name}", f"≥ {least}", ours, "", min(f.values()) >= least)

    return tell


def _soak(f: Figures) -> Iterator[Line]:
    what = f"soak, {f['jobs']:,} jobs over {f['days']:.0f} days, from the middle to the end: "
    for key, name, most in (
        ("mb", "memory, MB", 1.05),
        ("tasks", "tasks", 1.02),
        ("open", "open files", 1.02),
        ("files", "files on disk", 1.02),
        ("rows", "rows", 1.02),
    ):
        middle, last = f[key]
        yield Line(
            what + name, f"≤ +{100 * most - 100:.0f} %", f"{middle:,.0f} → {last:,.0f}", "", last <= middle * most
        )


def _local(f: Figures) -> Iterator[Line]:
    for name, (psnr, plain, ssim, plain_ssim) in f["pictures"].items():
        ours, lanczos = f"{psnr:.2f} dB, {ssim:.3f}", f"{plain:.2f} dB, {plain_ssim:.3f}"
        yield Line(f"local model, {name} halved and doubled", "≥ −0.1 dB", ours, lanczos, psnr >= plain - 0.1)
    gains = [psnr - plain for psnr, plain, *_ in f["pictures"].values()]
    mean = sum(gains) / len(gains)
    yield Line("local model above centred Lanczos, mean", "> 0 dB", f"{mean:+.2f} dB", "", mean > 0)


JOBS, OLD = 200, 8_000
"""A round of jobs, three rounds, so 600 and 20 to warm up; and more than ten times as many from earlier."""

ROWS = (
    Row("local", [("rows_images.local_model", [])], _local),
    Row("text", [("rows_text.longest", [])], _text),
    Row("page", [("rows_page.open_large", [])], _page),
    Row("idle", [("rows_bot.idle", [])], _idle),
    Row("takeover", [("rows_bot.takeover", [200])], _takeover),
    Row("phone", [("rows_fal.phone_to_submitted", [])], _phone),
    Row("final", [("rows_fal.completed_to_final", [])], _final),
    Row("ack-50", [("rows_chat.acknowledged", [50])], _acknowledged(50, 100)),
    Row("ack-500", [("rows_chat.acknowledged", [500])], _acknowledged(500, 500)),
    Row(
        "rate-sqlite",
        [("rows_bot.throughput", ["sqlite", JOBS]), ("rows_bot.throughput", ["sqlite", JOBS, 3, OLD])],
        _rate("SQLite", 40),
    ),
    Row(
        "rate-postgresql",
        [("rows_bot.throughput", ["postgresql", JOBS]), ("rows_bot.throughput", ["postgresql", JOBS, 3, OLD])],
        _rate("PostgreSQL", 40),
    ),
    Row("ledger-sqlite", [("rows_ledger.decisions", ["sqlite"])], _ledger("SQLite", 2_000)),
    Row("ledger-postgresql", [("rows_ledger.decisions", ["postgresql"])], _ledger("PostgreSQL", 1_500)),
    Row("staging", [("rows_fal.staging", ["ours"]), ("rows_fal.staging", ["baseline"])], _staging),
    Row("large", [("rows_fal.large_results", ["ours"]), ("rows_fal.large_results", ["baseline"])], _large),
    Row("waiting-1000", [("rows_fal.waiting", [1_000])], _waiting(1_000, 5)),
    Row("waiting-5000", [("rows_fal.waiting", [5_000])], _waiting(5_000, 25), full=True),
    Row("soak", [("rows_soak.soak", [600])], _soak, full=True),
    Row("requests", [("rows_fal.requests", [])], _requests),
)


def _in_own_process(function: str, arguments: Sequence[Any]) -> Figures:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--call", function, json.dumps(arguments)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=ROW_LIMIT_S,
        check=True,
        env={**os.environ, "TERM": "dumb"},
    )
    found: Figures = json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1])
    return found


def _call(function: str, arguments: Sequence[Any]) -> None:
    """In the row's own process."""
    module, name = function.split(".")
    measure = getattr(__import__(f"benchmarks.{module}", fromlist=[name]), name)
    found = measure(*arguments)
    print(json.dumps(asyncio.run(found) if inspect.iscoroutine(found) else found))


def _measure(rows: Sequence[Row], console: Console) -> list[Line]:
    lines: list[Line] = []
    for row in rows:
        began = time.monotonic()
        lines += row.tell(*(_in_own_process(function, arguments) for function, arguments in row.calls))
        console.print(f"[dim]{row.name} ({time.monotonic() - began:.0f} s)[/dim]")
    return lines


def main() -> int:
    """Print the table; 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="5,000 waiting jobs and a soak too (some minutes)")
    parser.add_argument("--only", default="", help="rows whose name holds this word")
    parser.add_argument("--call", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.call:
        _call(args.call[0], json.loads(args.call[1]))
        return 0
    console = Console(width=150)
    rows = [row for row in ROWS if args.only in row.name and (args.full or not row.full or args.only == row.name)]
    lines = _measure(rows, Console(stderr=True))
    table = Table("what", "reach", "ours", "baseline", "")
    for line in lines:
        mark = {True: "✓", False: "✗", None: ""}[line.reached]
        table.add_row(line.what, line.target, line.ours, line.baseline, mark)
    console.print(table)
    return 1 if any(line.reached is False for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
