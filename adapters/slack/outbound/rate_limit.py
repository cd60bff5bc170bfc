"""One update budget per workspace: every background call waits here for its turn, so that Slack never says 429.

Slack's tiers are per method, workspace and app (docs: Web API rate limits, read 2026-11-22); posts go at about one a
second and channel. Progress may use only part of a method's budget, so that a final answer never waits behind it;
another part is kept for members who have asked for little, so that one member's flood never delays the next one.
Holds no job and sends nothing.
"""

from collections import deque
from dataclasses import dataclass, field

from adapters.slack.outbound.errors import SlackAway
from core.ports import Clock

WINDOW_S = 60.0
CHANNEL_SPACING_S = 1.25
"""Slack tolerates short bursts, so a final answer may follow one earlier post at once; progress never bursts."""
FIRST_SPACING_S = 1.0
"""Between the first posts of different members, which go before everybody's further ones."""
PROGRESS_SHARE = 0.75
RESERVED_SHARE = 0.2
"""Of a method's calls, for members with fewer than `FEW_CALLS` within the last minute."""
FEW_CALLS = 3
SAFETY = 0.94
"""We count at our clock, Slack at its own; a few calls a minute are left unused for the difference."""

PER_MINUTE = {
    "chat.postMessage": 240,
    "chat.postEphemeral": 100,
    "chat.update": 50,
    "chat.delete": 50,
    "chat.getPermalink": 240,
    "chat.startStream": 20,
    "chat.appendStream": 100,
    "chat.stopStream": 20,
    "conversations.open": 50,
    "files.getUploadURLExternal": 100,
    "files.completeUploadExternal": 100,
    "files.info": 100,
    "files.delete": 50,
    "users.info": 100,
    "views.open": 100,
    "views.publish": 100,
    "views.update": 100,
}


@dataclass(slots=True)
class _Line:
    """Turns already given, as times and whose they are; some may lie in the future."""

    turns: deque[tuple[float, str]] = field(default_factory=deque)

    def forget(self, before: float) -> None:
        while self.turns and self.turns[0][0] <= before:
            self.turns.popleft()

    def of(self, member: str) -> int:
        return sum(whose == member for _, whose in self.turns)

    def free_at(self, now: float, allowed: float) -> float:
        most = max(1, int(allowed))
        return now if len(self.turns) < most else sorted(self.turns)[-most][0] + WINDOW_S


@dataclass(slots=True)
class _Method:
    """The calls of one method in one workspace: for all, and those kept for members who have asked for little."""

    general: _Line = field(default_factory=_Line)
    reserved: _Line = field(default_factory=_Line)
    blocked_until: float = 0.0


@dataclass(slots=True)
class Budget:
    """Gives turns. One instance per process; several replicas share Slack's limit by meeting 429 now and then."""

    _clock: Clock
    _methods: dict[tuple[str, str], _Method] = field(default_factory=dict)
    _channels: dict[str, tuple[float, float]] = field(default_factory=dict)
    """When the next post may go: a member's first one, and any other."""

    async def take(
        self, team_id: str, method: str, *, channel: str = "", member: str = "", progress: bool, max_wait_s: float
    ) -> None:
        """Return at this call's turn. Raises SlackAway, taking none, when that is more than `max_wait_s` away."""
        now = self._clock.now()
        calls = self._methods.setdefault((team_id, method), _Method())
        for line in (calls.general, calls.reserved):
            line.forget(now - WINDOW_S)
        mine = sum(line.of(member) for line in (calls.general, calls.reserved)) if member else 0
        allowed = PER_MINUTE.get(method, 50) * SAFETY
        general = allowed * (1 - RESERVED_SHARE) * (PROGRESS_SHARE if progress else 1.0)
        line, at = calls.general, calls.general.free_at(now, general)
        if not progress and mine < FEW_CALLS and at > (kept := calls.reserved.free_at(now, allowed * RESERVED_SHARE)):
            line, at = calls.reserved, kept
        at = max(at, now, calls.blocked_until)
        first_at, other_at = self._channels.get(channel, (0.0, 0.0))
        post = method == "chat.postMessage" and bool(channel)
        first = post and bool(member) and mine == 0 and not progress
        if post:
            at = max(at, first_at if first else other_at - (0.0 if progress else CHANNEL_SPACING_S))
        if at - now > max_wait_s:
            raise SlackAway("budget", retry_after_s=at - now)
        line.turns.append((at, "" if progress else member))
        if post:
            first_at = at + FIRST_SPACING_S if first else first_at
            self._channels[channel] = (first_at, max(other_at, now if first else at) + CHANNEL_SPACING_S)
            self._forget_idle_channels(now)
        if at > now:
            await self._clock.sleep(at - now)

    def limited(self, team_id: str, method: str, retry_after_s: float) -> None:
        """Slack said 429: nobody in this workspace calls this method before then."""
        calls = self._methods.setdefault((team_id, method), _Method())
        calls.blocked_until = max(calls.blocked_until, self._clock.now() + retry_after_s)

    def _forget_idle_channels(self, now: float) -> None:
        if len(self._channels) > 10_000:
            self._channels = {name: row for name, row in self._channels.items() if max(row) > now}
