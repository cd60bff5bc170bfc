"""One budget of calls per workspace: every background call waits here for its turn, so that Slack hardly ever says 429.

Slack's tiers are per method, workspace and app (docs: Web API rate limits, read 2026-11-22); posts go at about one a
second and channel. A turn is given when it may be used, never ahead, to whoever has been given least within the last
minute: one member's flood does not delay the next one. Progress may use only part of a method's budget, so that a
final answer never waits behind it. Holds no job and sends nothing.
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
"""Slack tolerates short bursts: so often a final answer follows an earlier post at once. Progress never bursts."""
PROGRESS_SHARE = 0.75
PROGRESS_BEHIND = 1.5
"""A member's progress waits as if they had been given so many turns more."""
RESERVED_SHARE = 0.2
"""Of a method's calls, for members with fewer than `FEW_CALLS` within the last minute."""
FEW_CALLS = 3
SAFETY = 0.94
"""We count at our clock, Slack at its own; a few calls a minute are left unused for the difference."""
SLOWEST = 8.0
RECHECK_S = 0.05
MOST_CHANNELS = 10_000

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
    """How a method or channel is used after a 429: not until its time; from the second within a minute on, then at half
    the speed, for a minute each.

    One alone is a burst that Slack liked less today, and its time is over. Another one so soon tells of other processes
    that use it too, and only Slack knows how much.
    """

    blocked_until: float = 0.0
    slower: float = 1.0
    eases_at: float = 0.0

    def on_rate_limited(self, now: float, retry_after_s: float) -> None:
        if self.blocked_until <= now < self.eases_at:  # before: it was on its way together with one that was told so
            self.slower = min(SLOWEST, self.slower * 2)
        self.blocked_until = max(self.blocked_until, now + retry_after_s)
        self.eases_at = self.blocked_until + WINDOW_S

    def ease(self, now: float) -> None:
        while self.slower > 1 and now >= self.eases_at:
            self.slower, self.eases_at = self.slower / 2, self.eases_at + WINDOW_S


@dataclass(slots=True)
class _Channel:
    """When the next post may go into it."""

    burst_at: float
    each_s: float = CHANNEL_SPACING_S
    next_at: float = 0.0
    pace: _Pace = field(default_factory=_Pace)

    def ready_at(self, *, progress: bool) -> float:
        return max(self.pace.blocked_until, self.next_at if progress else min(self.next_at, self.burst_at))

    @property
    def spacing_s(self) -> float:
        return self.each_s * self.pace.slower

    def grant(self, now: float) -> None:
        self.pace.ease(now)
        if now < self.next_at:
            self.burst_at = now + BURST_EVERY_S
        self.next_at = max(self.next_at, now) + self.spacing_s

    def on_rate_limited(self, now: float, retry_after_s: float) -> None:
        self.pace.on_rate_limited(now, retry_after_s)
        self.burst_at = self.pace.blocked_until + BURST_EVERY_S


@dataclass(eq=False, slots=True)
class _WaitingCall:
    """One that waits. `check_at`: when it looks again whether it may go."""

    number: int
    member: str
    channel: _Channel
    progress: bool
    check_at: float = 0.0
    granted: bool = False


@dataclass(slots=True)
class _MethodQueue:
    """The calls of one method in one workspace: turns of the last minute, and who waits."""

    per_minute: float
    turns: deque[tuple[float, tuple[str, bool]]] = field(default_factory=deque)
    counts: Counter[tuple[str, bool]] = field(default_factory=Counter)
    waiting: list[_WaitingCall] = field(default_factory=list)
    channels: dict[str, _Channel] = field(default_factory=dict)
    pace: _Pace = field(default_factory=_Pace)

    def rank(self, call: _WaitingCall) -> tuple[float, int]:
        granted = self.counts[call.member, False] + self.counts[call.member, True]
        return granted + PROGRESS_BEHIND * call.progress, call.number

    def slot_free_at(self, call: _WaitingCall, now: float, ahead: int = 0) -> float:
        """When the method's budget has a turn for it, after those `ahead` of it."""
        share = PROGRESS_SHARE if call.progress else 1.0
        if call.progress or (call.member and self.counts[call.member, False] >= FEW_CALLS):
            share *= 1 - RESERVED_SHARE
        over = len(self.turns) + ahead - max(1, int(self.per_minute * share / self.pace.slower))
        if over < 0:
            return max(now, self.pace.blocked_until)
        rounds, place = divmod(over, len(self.turns) or 1)
        begun = self.turns[place][0] if self.turns else now
        return max(self.pace.blocked_until, begun + WINDOW_S * (rounds + 1))

    def grant(self, now: float) -> None:
        self.pace.ease(now)
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
        """When its turn comes, as far as can be told."""
        before = [one for one in self.waiting if self.rank(one) < self.rank(call)]
        in_channel = sum(one.channel is call.channel for one in before) * call.channel.spacing_s
        return max(
            self.slot_free_at(call, now, len(before)), call.channel.ready_at(progress=call.progress) + in_channel
        )

    def next_check_at(self, call: _WaitingCall, now: float) -> float:
        """The first moment at which it may be its turn."""
        at = max(self.slot_free_at(call, now), call.channel.ready_at(progress=call.progress))
        return at if at > now else max(call.channel.next_at, now + RECHECK_S)


@dataclass(slots=True)
class RateLimiter:
    """Gives turns. One instance per process; several replicas share Slack's limit by meeting 429 now and then."""

    _clock: Clock
    _queues: dict[tuple[str, str], _MethodQueue] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _first_burst_at: float = 0.0

    def __post_init__(self) -> None:
        # What the process before this one has posted is not known.
        self._first_burst_at = self._clock.now() + BURST_EVERY_S

    async def wait_turn(
        self, team_id: str, method: str, *, channel: str = "", member: str = "", progress: bool, max_wait_s: float
    ) -> None:
        """Return at this call's turn. Raises SlackUnavailable, taking none, when that is more than `max_wait_s` away."""
        now = self._clock.now()
        queue, deadline = self._queue(team_id, method), now + max_wait_s
        call = _WaitingCall(next(self._numbers), member, self._channel(queue, method, channel, now), progress)
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
        """Slack said 429: nobody posts into this channel before then, or in this workspace calls this method."""
        queue, now = self._queue(team_id, method), self._clock.now()
        blocked = [name for name, one in queue.channels.items() if one.pace.blocked_until > now]
        if method == POST and channel and blocked in ([], [channel]):
            self._channel(queue, method, channel, now).on_rate_limited(now, retry_after_s)
        else:
            queue.pace.on_rate_limited(now, retry_after_s)

    def _queue(self, team_id: str, method: str) -> _MethodQueue:
        return self._queues.setdefault((team_id, method), _MethodQueue(PER_MINUTE.get(method, 50) * SAFETY))

    def _channel(self, queue: _MethodQueue, method: str, name: str, now: float) -> _Channel:
        if method != POST or not name:
            return queue.channels.setdefault("", _Channel(0.0, each_s=0.0))
        if len(queue.channels) > MOST_CHANNELS:
            queue.channels = {name: one for name, one in queue.channels.items() if one.next_at > now - WINDOW_S}
        return queue.channels.setdefault(name, _Channel(self._first_burst_at))
