"""Shared by all tests: how many tests of each room ran, told before pytest's own summary line."""

import gc
import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import settings

from core.storage.drivers import sqlite_writer as writer
from tests.fakes.clock import clock
from tests.pg import any_database_url, database, postgres_server, postgres_url

__all__ = ["any_database_url", "clock", "database", "postgres_server", "postgres_url"]

# No deadline: a machine that does other work is no fault. The same examples every time: a failure can be repeated.
settings.register_profile("bot", deadline=None, derandomize=True)
settings.load_profile("bot")

writer.SYNCHRONOUS = "OFF"  # no test pulls the plug, and waiting for the disk was most of the time of many

# Plain tracebacks: structlog's own, by rich and with every local variable, take a second each.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

ROOMS = ("core", "adapters", "bot")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shuffle", type=int, metavar="SEED", help="another order: no test may need those before it")
    parser.addoption("--collect", action="store_true", help="what a test leaves open is told at this test, not later")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if (seed := config.getoption("--shuffle")) is not None:
        random.Random(seed).shuffle(items)


@pytest.fixture(autouse=True)
def _same_umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """The bot takes every right from others for its whole process; the tests after it want theirs back."""
    os.umask(before := os.umask(0o077))
    yield
    os.umask(before)
    if request.config.getoption("--collect"):
        gc.collect()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line per room: tests that passed and failed. Counts come from the reports, so they also hold under xdist."""
    counts: dict[str, Counter[str]] = {room: Counter() for room in (*ROOMS, "other")}
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            parts = report.nodeid.split("/")
            room = parts[1] if len(parts) > 2 and parts[1] in ROOMS else "other"
            counts[room][outcome] += 1
    terminalreporter.section("tests per room")
    for room, found in counts.items():
        broken = found["failed"] + found["error"]
        if found:
            terminalreporter.write_line(f"{room:9} {found['passed']} passed" + (f", {broken} failed" if broken else ""))
