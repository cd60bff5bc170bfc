"""Spending limits as data: scope × measure × window. Pure; uses no clock, database or platform.

A limit says how much of one measure one scope may use within one window. Calendar windows are computed from an
instant and a time zone, never reset by a timer, so daylight-saving changes and restarts cannot shift them.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Literal, TypeAlias, assert_never
from zoneinfo import ZoneInfo


class ScopeKind(StrEnum):
    """What a limit applies to, from widest to narrowest."""

    EVERYTHING = "everything"
    PLATFORM = "platform"
    WORKSPACE = "workspace"
    CHANNEL = "channel"
    ROLE = "role"
    USER = "user"


class Measure(StrEnum):
    """What a limit counts: nano-dollars, whole megapixels, jobs, or jobs running now."""

    USD = "usd"
    MEGAPIXELS = "megapixels"
    JOBS = "jobs"
    RUNNING = "running"


class Window(StrEnum):
    """The period that a limit sums over; `NOW` is for `Measure.RUNNING` only."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"
    NOW = "now"


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope. Ids are the platform's own; `id` is empty for the default of the kind."""

    kind: ScopeKind
    platform: str = ""
    workspace_id: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit. `amount` is in the measure's unit (nano-dollars for USD).

    `source` is `default`, `file`, `moderator`, `operator` or `sponsor` (a budget that pays for a channel).
    """

    scope: Scope
    measure: Measure
    window: Window
    amount: int
    source: str = "default"
    model: str = ""
    """The model whose jobs it counts, several separated by commas, or all if empty."""

    def counts(self, model: str) -> bool:
        return not self.model or model in self.model.split(",")


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """A limit with the amounts used and held, and the end of its window (unix seconds, None = never)."""

    limit: Limit
    used: int
    held: int
    opens_at: float | None

    @property
    def left(self) -> int:
        """What may still be held; never negative."""
        return max(0, self.limit.amount - self.used - self.held)


@dataclass(frozen=True, slots=True)
class Rule:
    """A limit as configured, before it is applied to a person. Empty selectors match everybody of the kind.

    `amount` None removes the kind's default for those that match. `counts` applies to roles only: `each` gives every
    member of the role their own allowance, `shared` one allowance for all members together.
    """

    kind: ScopeKind
    measure: Measure
    window: Window
    amount: int | None
    source: Literal["default", "file", "moderator", "operator"]
    platform: str = ""
    workspace_id: str = ""
    id: str = ""
    counts: Literal["each", "shared"] = "each"
    model: str = ""


@dataclass(frozen=True, slots=True)
class WantedLimit:
    """A limit that somebody wants to set. `amount` is in the measure's unit (nano-dollars for USD), None for no limit.

    An empty `scope_id` is the default of the kind; `model` restricts it to that model's jobs.
    """

    scope: ScopeKind
    scope_id: str
    measure: Measure
    window: Window
    amount: int | None
    model: str = ""


SPONSOR_DAYS, MAX_SPONSOR_DAYS = 7, 366
"""How long a sponsor pays by default, and at most."""


@dataclass(frozen=True, slots=True)
class Sponsor:
    """A budget that pays for one channel's jobs from `starts_at` until `ends_at` (unix seconds).

    While it has money left, members' default daily money is neither checked nor used there.
    """

    id: str
    platform: str
    workspace_id: str
    channel_id: str
    amount_nanousd: int
    starts_at: float
    ends_at: float
    set_by: str

    def pays(self, now: float) -> bool:
        return self.starts_at <= now < self.ends_at


@dataclass(frozen=True, slots=True)
class ExtraAllowance:
    """Additional money for one member of a workspace until `ends_at`.

    It raises the limits of moderators and defaults, never those that the operator set.
    """

    platform: str
    workspace_id: str
    user_id: str
    amount_nanousd: int
    ends_at: float


@dataclass(frozen=True, slots=True)
class LimitChange:
    """One entry of a workspace's audit log of rules. `at` is unix seconds; `old` and `new` are "" for none."""

    at: float
    actor_id: str
    actor_name: str
    action: str
    subject: str
    old: str
    new: str
    platform: str = ""
    workspace_id: str = ""


AlertLevel: TypeAlias = Literal[50, 80, 100]
"""Percent of a budget that is used."""


@dataclass(frozen=True, slots=True)
class AlertPlace:
    """A channel that receives a workspace's alerts, and with `everything` those of the whole bot."""

    platform: str
    workspace_id: str
    channel_id: str
    everything: bool
    locale: str = "en"


HOUR_S = 3600

SUMMED_WINDOWS: tuple[Window, ...] = (Window.HOUR, Window.DAY, Window.WEEK, Window.MONTH, Window.TOTAL)
"""Every window that sums amounts; `NOW` only counts concurrent jobs."""


@dataclass(frozen=True, slots=True)
class Span:
    """One window in time. `key` is unique among all windows; times are unix seconds, `ends_at` None = never."""

    window: Window
    key: str
    starts_at: float
    ends_at: float | None


def local_day(at: float, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(at, zone).date()


def midnight(day: date, zone: ZoneInfo) -> float:
    """The instant at which this day begins; if the clock skips midnight, the instant of the skip."""
    return datetime.combine(day, time(), tzinfo=zone).timestamp()


def span(window: Window, at: float, zone: ZoneInfo) -> Span:
    """Return the window of this kind that contains `at`. A day of 23 or 25 hours is still one day."""
    match window:
        case Window.HOUR:
            return _hour(at, zone)
        case Window.DAY:
            day = local_day(at, zone)
            return _days(window, f"d{day}", day, day + timedelta(days=1), zone)
        case Window.WEEK:
            today = local_day(at, zone)
            monday = today - timedelta(days=today.weekday())
            return _days(window, f"w{monday}", monday, monday + timedelta(days=7), zone)
        case Window.MONTH:
            first = local_day(at, zone).replace(day=1)
            return _days(window, f"m{first:%Y-%m}", first, (first + timedelta(days=32)).replace(day=1), zone)
        case Window.TOTAL:
            return Span(window, "total", 0.0, None)
        case Window.NOW:
            return Span(window, "now", 0.0, None)
    assert_never(window)


def _days(window: Window, key: str, first: date, after: date, zone: ZoneInfo) -> Span:
    return Span(window, key, midnight(first, zone), midnight(after, zone))


def _hour(at: float, zone: ZoneInfo) -> Span:
    # The wall clock's hour under the current offset: the hour that is repeated in autumn is two windows.
    offset = datetime.fromtimestamp(at, zone).utcoffset() or timedelta()
    shift = offset.total_seconds()
    start = (at + shift) // HOUR_S * HOUR_S - shift
    return Span(Window.HOUR, f"h{datetime.fromtimestamp(start, UTC):%Y-%m-%dT%H:%M}", start, start + HOUR_S)
