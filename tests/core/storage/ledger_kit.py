"""Helpers of the ledger's tests: a manual clock, members, requests, and a ledger on any database."""

from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from core.domain.job import Requester
from core.domain.limits import Measure, Rule, ScopeKind, Window
from core.ports import HoldRequest
from core.storage.database import Database
from core.storage.ledger import LedgerDatabase, LedgerSettings, SqlLedger
from tests.fakes.clock import NOON, HandClock

USD = 1_000_000_000
UTC = ZoneInfo("UTC")
__all__ = ["NOON", "HandClock"]


def member(
    user: str = "ann", *, workspace: str = "w1", channel: str = "c1", roles: Sequence[str] = (), parent: str = ""
) -> Requester:
    return Requester(
        platform="discord",
        user_id=user,
        user_name=user.title(),
        workspace_id=workspace,
        channel_id=channel,
        parent_channel_id=parent,
        role_ids=tuple(roles),
    )


def job(key: str, usd: float = 1.0, who: Requester | None = None, *, enforce: bool = True) -> HoldRequest:
    """A job that costs this much at $0.10 a megapixel."""
    amount = round(usd * USD)
    return HoldRequest(key, who or member(), amount, max(1, round(usd * 10)), enforce=enforce)


def day_usd(kind: ScopeKind, usd: float, **where: str) -> Rule:
    return Rule(kind, Measure.USD, Window.DAY, round(usd * USD), "file", **where)  # type: ignore[arg-type]


def default_money(usd: float) -> Rule:
    """The default daily money of every member."""
    return Rule(ScopeKind.USER, Measure.USD, Window.DAY, round(usd * USD), "default")


def running(kind: ScopeKind, amount: int) -> Rule:
    return Rule(kind, Measure.RUNNING, Window.NOW, amount, "file")


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


def make_ledger(
    database: Database | LedgerDatabase,
    clock: HandClock,
    *rules: Rule,
    zone: ZoneInfo = UTC,
    user_waiting: int | None = 20,
    play_money: bool = False,
) -> SqlLedger:
    settings = LedgerSettings(rules, zone, user_waiting=user_waiting, play_money=play_money)
    opened = LedgerDatabase(database, pauses_s=(0.0,)) if isinstance(database, Database) else database
    return SqlLedger(opened, clock, settings)
