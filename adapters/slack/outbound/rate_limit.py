"""A rate limiter: every call to the Web API waits here for its turn, so that Slack rarely answers 429.

Slack's tiers are per method, workspace and app (docs: Web API rate limits, read 2026-11-22); a channel takes about one
post per second. A turn is granted when it can be used, never in advance, to the member with the fewest turns within the
last minute, so that one member's flood does not delay the others. Progress edits may use only part of a method's limit,
so that a final answer never waits for them.
"""

import itertools
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from adapters.slack.outbound.errors import SlackUnavailable
from core.ports import Clock

POST = "chat.postMessage"
WINDOW_S = 60.0
CHANNEL_SPACING_S = 1.25
BURST_EVERY_S = 10.0
"""Slack tolerates short bursts: once per interval a final answer may follow a post at once. Progress never bursts."""
PROGRESS_SHARE = 0.75
PROGRESS_BEHIND = 1.5
"""A progress edit is ranked as if its member had had so many more turns."""
RESERVED_SHARE = 0.2
"""The share of a method's calls for members with fewer than `FEW_CALLS` within the last minute."""
FEW_CALLS = 3
SAFETY_SHARE = 0.94
"""The usable share of Slack's limits: its clock and ours differ."""
MAX_SLOWDOWN = 8.0
RECHECK_S = 0.05

_CALLS = {
    20: "chat.startStream chat.stopStream",
    50: "chat.update chat.delete conversations.open files.delete",
    100: "chat.postEphemeral chat.appendStream files.getUploadURLExternal files.completeUploadExternal files.info "
    "users.info views.open views.publish views.update",
    240: "chat.postMessage chat.getPermalink",
}
PER_MINUTE = {method: calls for calls, methods in _CALLS.items() for method in methods.split()}


@dataclass(slots=True)
class _Pace:
    """Backoff of a method or channel after a 429: blocked for `Retry-After`; after a second 429 within a minute also
    at half the speed, for a minute each.

    A single 429 is a burst that Slack did not tolerate. Another one so soon means that other processes use the same
    limit, and only Slack knows how much.
    """

    blocked_until: float = 0.0
    slowdown: float = 1.0
    recovers_at: float = 0.0

    def on_rate_limited(self, now: float, retry_after_s: float) -> None:
        if self.blocked_until <= now < self.recovers_at:  # earlier ones were sent before the first 429 arrived
            self.slowdown = min(MAX_SLOWDOWN, self.slowdown * 2)
        self.blocked_until = max(self.blocked_until, now + retry_after_s)
        self.recovers_at = self.blocked_until + WINDOW_S

    def recover(self, now: float) -> None:
        while self.slowdown > 1 and now >= self.recovers_at:
            self.slowdown, self.recovers_at = self.slowdown / 2, self.recovers_at + WINDOW_S

    def is_normal(self, now: float) -> bool:
        self.recover(now)
        return now >= self.recovers_at


@dataclass(slots=True)
class _Channel:
    """When the next post into a channel is allowed."""

    burst_at: float
    interval_s: float = CHANNEL_SPACING_S
    next_at: float = 0.0
    pace: _Pace = field(default_factory=_Pace)

    def ready_at(self, *, progress: bool) -> float:
        return max(self.pace.blocked_until, self.next_at if progress else min(self.next_at, self.burst_at))

    @property
    def spacing_s(self) -> float:
        return self.interval_s * self.pace.slowdown

    def grant(self, now: float) -> None:
        self.pace.recover(now)
        if now < self.next_at:
            self.burst_at = now + BURST_EVERY_S
        self.next_at = max(self.next_at, now) + self.spacing_s

    def on_rate_limited(self, now: float, retry_after_s: float) -> None:
        self.pace.on_rate_limited(now, retry_after_s)
        self.burst_at = self.pace.blocked_until + BURST_EVERY_S


@dataclass(eq=False, slots=True)
class _WaitingCall:
    """A call that waits for its turn, and when it checks next. `since`: when its work was asked for."""

    since: float
    number: int
    member: str
    channel: _Channel
    progress: bool
    check_at: float = 0.0
    granted: bool = False


@dataclass(slots=True)
class _MethodQueue:
    """The calls of one method in one workspace: turns of the last minute, and waiting calls."""

    per_minute: float
    turns: deque[tuple[float, tuple[str, bool]]] = field(default_factory=deque)
    counts: Counter[tuple[str, bool]] = field(default_factory=Counter)
    waiting: list[_WaitingCall] = field(default_factory=list)
    channels: dict[str, _Channel] = field(default_factory=dict)
    pace: _Pace = field(default_factory=_Pace)

    def rank(self, call: _WaitingCall) -> tuple[float, float, int]:
        granted = self.counts[call.member, False] + self.counts[call.member, True]
        return granted + PROGRESS_BEHIND * call.progress, call.since, call.number

    def slot_free_at(self, call: _WaitingCall, now: float, ahead: int = 0) -> float:
        """When the method's limit allows this call, after `ahead` others."""
        share = PROGRESS_SHARE if call.progress else 1.0
        if call.progress or (call.member and self.counts[call.member, False] >= FEW_CALLS):
            share *= 1 - RESERVED_SHARE
        over = len(self.turns) + ahead - max(1, int(self.per_minute * share / self.pace.slowdown))
        if over < 0:
            return max(now, self.pace.blocked_until)
        rounds, place = divmod(over, len(self.turns) or 1)
        started_at = self.turns[place][0] if self.turns else now
        return max(self.pace.blocked_until, started_at + WINDOW_S * (rounds + 1))

    def grant(self, now: float) -> None:
        self.pace.recover(now)
        while self.turns and self.turns[0][0] <= now - WINDOW_S:
            self.counts[self.turns.popleft()[1]] -= 1
        self.counts = +self.counts
        for channel in {id(call.channel): call.channel for call in self.waiting}.values():
            while True:
                free = [one for one in self.waiting if one.channel is channel and self.slot_free_at(one, now) <= now]
                call = min(free, key=self.rank, default=None)
                if call is None or max(channel.ready_at(progress=call.progress), call.check_at) > now:
                    break
                call.granted = True
                self.waiting.remove(call)
                self.turns.append((now, (call.member, call.progress)))
                self.counts[call.member, call.progress] += 1
                channel.grant(now)

    def expected_at(self, call: _WaitingCall, now: float) -> float:
        """An estimate of when this call's turn comes."""
        before = [one for one in self.waiting if self.rank(one) < self.rank(call)]
        in_channel = sum(one.channel is call.channel for one in before) * call.channel.spacing_s
        return max(
            self.slot_free_at(call, now, len(before)), call.channel.ready_at(progress=call.progress) + in_channel
        )

    def forget_idle(self, now: float) -> bool:
        """Forget the channels that a new one would not differ from; returns whether that is so of the method too."""
        used = {id(call.channel) for call in self.waiting}
        self.channels = {
            name: one
            for name, one in self.channels.items()
            if id(one) in used or one.next_at > now - WINDOW_S or not one.pace.is_normal(now)
        }
        return not self.channels and self.pace.is_normal(now)

    def next_check_at(self, call: _WaitingCall, now: float) -> float:
        """The earliest time at which this call's turn may come."""
        at = max(self.slot_free_at(call, now), call.channel.ready_at(progress=call.progress))
        return at if at > now else max(call.channel.next_at, now + RECHECK_S)


@dataclass(slots=True)
class RateLimiter:
    """Grants turns, one instance per process. Replicas share Slack's limits by way of occasional 429s."""

    _clock: Clock
    _queues: dict[tuple[str, str], _MethodQueue] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _first_burst_at: float = 0.0
    _swept_at: float = 0.0

    def __post_init__(self) -> None:
        # The previous process may have posted just before.
        self._first_burst_at = self._clock.now() + BURST_EVERY_S

    async def wait_turn(
        self,
        team_id: str,
        method: str,
        *,
        channel: str = "",
        member: str = "",
        progress: bool,
        max_wait_s: float,
        since: float | None = None,
    ) -> None:
        """Return at this call's turn. Raises SlackUnavailable at once if that is more than `max_wait_s` away.

        Of equal calls the one whose work was asked for first (`since`) comes first, also when it is tried again.
        """
        now = self._clock.now()
        queue, deadline = self._queue(team_id, method), now + max_wait_s
        call = _WaitingCall(since or now, next(self._numbers), member, self._channel(queue, method, channel), progress)
        queue.waiting.append(call)
        try:
            while True:
                now = call.check_at = self._clock.now()
                queue.grant(now)
                if call.granted:
                    return
                if (at := queue.expected_at(call, now)) > deadline:
                    raise SlackUnavailable("budget", retry_after_s=at - now)
                call.check_at = queue.next_check_at(call, now)
                await self._clock.sleep(call.check_at - now)
        finally:
            if not call.granted:
                queue.waiting.remove(call)

    def on_rate_limited(self, team_id: str, method: str, retry_after_s: float, channel: str = "") -> None:
        """After a 429, block posts into this channel, or this method in this workspace, for `retry_after_s`."""
        queue, now = self._queue(team_id, method), self._clock.now()
        blocked = [name for name, one in queue.channels.items() if one.pace.blocked_until > now]
        if method == POST and channel and blocked in ([], [channel]):
            self._channel(queue, method, channel).on_rate_limited(now, retry_after_s)
        else:
            queue.pace.on_rate_limited(now, retry_after_s)

    def _queue(self, team_id: str, method: str) -> _MethodQueue:
        now = self._clock.now()
        if abs(now - self._swept_at) > WINDOW_S:
            self._swept_at = now
            self._queues = {key: queue for key, queue in self._queues.items() if not queue.forget_idle(now)}
        return self._queues.setdefault((team_id, method), _MethodQueue(PER_MINUTE.get(method, 50) * SAFETY_SHARE))

    def _channel(self, queue: _MethodQueue, method: str, name: str) -> _Channel:
        if method != POST or not name:
            return queue.channels.setdefault("", _Channel(0.0, interval_s=0.0))
        return queue.channels.setdefault(name, _Channel(self._first_burst_at))
