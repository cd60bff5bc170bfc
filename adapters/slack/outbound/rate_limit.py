"""One update budget per workspace: every background call waits here for its turn, so that Slack never says 429.

Slack's tiers are per method, workspace and app (docs: Web API rate limits, read 2026-11-22); posts go at about one a
second and channel. Progress may use only part of a method's budget, so that a final answer never waits behind it.
Holds no job and sends nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from adapters.slack.outbound.errors import SlackAway
from core.ports import Clock

WINDOW_S = 60.0
CHANNEL_SPACING_S = 1.25
"""Slack tolerates short bursts, so a final answer may follow one earlier post at once; progress never bursts."""
PROGRESS_SHARE = 0.75
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
    """Turns already given, as times; some may lie in the future."""

    turns: deque[float] = field(default_factory=deque)
    blocked_until: float = 0.0


@dataclass(slots=True)
class Budget:
    """Gives turns. One instance per process; several replicas share Slack's limit by meeting 429 now and then."""

    _clock: Clock
    _lines: dict[tuple[str, str], _Line] = field(default_factory=dict)
    _channels: dict[str, float] = field(default_factory=dict)

    async def take(self, team_id: str, method: str, *, channel: str = "", progress: bool, max_wait_s: float) -> None:
        """Return at this call's turn. Raises SlackAway, taking none, when that is more than `max_wait_s` away."""
        now = self._clock.now()
        line = self._lines.setdefault((team_id, method), _Line())
        at = max(now, line.blocked_until, self._free_at(line, method, now, progress))
        if method == "chat.postMessage" and channel:
            at = max(at, self._channels.get(channel, 0.0) - (0.0 if progress else CHANNEL_SPACING_S))
        if at - now > max_wait_s:
            raise SlackAway("budget", retry_after_s=at - now)
        line.turns.append(at)
        if method == "chat.postMessage" and channel:
            self._channels[channel] = max(at, self._channels.get(channel, 0.0)) + CHANNEL_SPACING_S
            self._forget_idle_channels(now)
        if at > now:
            await self._clock.sleep(at - now)

    def limited(self, team_id: str, method: str, retry_after_s: float) -> None:
        """Slack said 429: nobody in this workspace calls this method before then."""
        line = self._lines.setdefault((team_id, method), _Line())
        line.blocked_until = max(line.blocked_until, self._clock.now() + retry_after_s)

    def _free_at(self, line: _Line, method: str, now: float, progress: bool) -> float:
        allowed = max(1, int(PER_MINUTE.get(method, 50) * SAFETY * (PROGRESS_SHARE if progress else 1.0)))
        while line.turns and line.turns[0] <= now - WINDOW_S:
            line.turns.popleft()
        if len(line.turns) < allowed:
            return now
        return sorted(line.turns)[-allowed] + WINDOW_S

    def _forget_idle_channels(self, now: float) -> None:
        if len(self._channels) > 10_000:
            self._channels = {name: at for name, at in self._channels.items() if at > now}
