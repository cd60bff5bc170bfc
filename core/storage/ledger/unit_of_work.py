"""One batch's in-memory copy of the ledger: holds, balances, and everything that has to be written.

Plain functions decide on it; nothing here waits or accesses the database.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

from core.domain.job import Requester
from core.domain.limits import LimitStatus, Measure, Rule, Span
from core.domain.models import DEFAULT_MODEL
from core.domain.money import PIXELS_PER_MEGAPIXEL
from core.storage.ledger.rules import NOW, BoundLimit, Rules, balance_key

HoldState: TypeAlias = Literal["waiting", "running", "settled", "released", "expired"]
OPEN: frozenset[HoldState] = frozenset({"waiting", "running"})
_POSTED = ("used_nanousd", "held_nanousd", "used_px", "held_px", "used_jobs", "held_jobs")
_REQUESTER = ("platform", "workspace_id", "channel_id", "user_id", "user_name")


@dataclass(slots=True)
class Balance:
    used_nanousd: int = 0
    held_nanousd: int = 0
    used_px: int = 0
    held_px: int = 0
    used_jobs: int = 0
    held_jobs: int = 0
    running: int = 0
    waiting: int = 0

    def add(self, other: Balance) -> None:
        self.used_nanousd += other.used_nanousd
        self.held_nanousd += other.held_nanousd
        self.used_px += other.used_px
        self.held_px += other.held_px
        self.used_jobs += other.used_jobs
        self.held_jobs += other.held_jobs
        self.running += other.running
        self.waiting += other.waiting


@dataclass(slots=True)
class Hold:
    """A row of `ledger_holds`. `windows` are pairs of window name and end, fixed when the hold is made."""

    key: str
    requester: Requester
    state: HoldState
    held_at: float
    asked_at: float
    expires_at: float
    day: str
    amount_nanousd: int
    amount_px: int
    play: bool
    member: str
    counters: tuple[str, ...]
    slots: tuple[str, ...]
    windows: tuple[tuple[str, float | None], ...]
    sponsor_id: str = ""
    model: str = DEFAULT_MODEL
    round: int = 1
    adjustments: int = 0
    charged_nanousd: int = 0
    charged_px: int = 0
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """The operator's settings. With `play_money` nothing is limited, so no limits are shown."""

    rules: Sequence[Rule]
    zone: ZoneInfo
    user_waiting: int | None = 20
    hold_ttl_s: float = 2 * 3600
    patience_s: float = 30
    play_money: bool = False


@dataclass(slots=True)
class LedgerSnapshot:
    """`balances` are the rows that were read; `deltas` are to be added to the stored rows."""

    now: float
    day: str
    spans: Sequence[Span]
    rules: Rules
    settings: LedgerSettings
    holds: dict[str, Hold] = field(default_factory=dict)
    balances: dict[str, Balance] = field(default_factory=dict)
    deltas: dict[str, Balance] = field(default_factory=dict)
    ends: dict[str, float | None] = field(default_factory=dict)
    entries: list[dict[str, Any]] = field(default_factory=list)
    changed: dict[str, Hold] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)

    def balance(self, counter: str, window: str) -> Balance:
        """Return a row that was read before (a missing row is zero)."""
        return self.balances.setdefault(balance_key(counter, window), Balance())

    def post(self, counters: Iterable[str], windows: Iterable[tuple[str, float | None]], change: Balance) -> None:
        for counter in counters:
            for window, ends_at in windows:
                key = balance_key(counter, window)
                delta = self.deltas.get(key)
                if delta is None:
                    delta = self.deltas[key] = Balance()
                    self.ends[key] = ends_at
                delta.add(change)
                known = self.balances.get(key)
                if known is not None:
                    known.add(change)

    def set_state(self, hold: Hold, state: HoldState) -> None:
        if not hold.play:
            change = Balance()
            for at, step in ((hold.state, -1), (state, 1)):
                change.running += step if at == "running" else 0
                change.waiting += step if at == "waiting" else 0
            if change != Balance():
                self.post(hold.slots, ((NOW, None),), change)
        hold.state = state
        self.changed[hold.key] = hold

    def record(self, hold: Hold, kind: str, step: str, change: Balance, note: str = "") -> None:
        """Append an entry and post it to the windows at the time when the hold was made.

        Only the hold's own entry lists counters and windows; later entries of the job have the same.
        """
        first = kind == "hold"
        self.entries.append(
            {
                "job_key": hold.key,
                "step": step,
                "kind": kind,
                "at": self.now,
                **{name: getattr(hold, name) for name in ("held_at", "day", "play", "sponsor_id", "model")},
                **{name: getattr(change, name) for name in _POSTED},
                **requester_columns(hold.requester),
                "roles": hold.requester.role_ids if first else (),
                "counters": hold.counters if first else (),
                "windows": hold.windows if first else (),
                "note": note,
            }
        )
        if not hold.play:
            self.post(hold.counters, hold.windows, change)
        self.changed[hold.key] = hold

    def span_of(self, bound: BoundLimit) -> Span:
        return next(span for span in self.spans if span.window is bound.limit.window)

    def balance_keys(self, bound: BoundLimit) -> list[str]:
        return [balance_key(name, self.span_of(bound).key) for name in (bound.counter, bound.minus) if name]

    def status(self, bound: BoundLimit) -> LimitStatus:
        span = self.span_of(bound)
        row = self.balance(bound.counter, span.key)
        opens_at = bound.opens_at if bound.opens_at is not None else span.ends_at
        used, held = amounts(row, bound.limit.measure)
        if bound.minus:
            paid, reserved = amounts(self.balance(bound.minus, span.key), bound.limit.measure)
            used, held = used - paid, held - reserved
        return LimitStatus(bound.limit, used, held, opens_at)


def amounts(row: Balance, measure: Measure) -> tuple[int, int]:
    """Return used and held in the measure's unit; megapixels are rounded up."""
    match measure:
        case Measure.USD:
            return row.used_nanousd, row.held_nanousd
        case Measure.MEGAPIXELS:
            return _megapixels(row.used_px), _megapixels(row.held_px)
        case Measure.JOBS:
            return row.used_jobs, row.held_jobs
        case Measure.RUNNING:
            return row.running, 0


def _megapixels(pixels: int) -> int:
    return math.ceil(pixels / PIXELS_PER_MEGAPIXEL)


def requester_columns(who: Any) -> dict[str, Any]:
    """Return the columns of a requester, or of a row that has them, except the roles."""
    return {name: getattr(who, name) for name in _REQUESTER}
