"""Slack's rate tiers: so many calls per method, workspace and app in any 60 seconds; one post per second and channel.

The documented tiers are promises of "at least"; here they are walls, which is the strictest reading.
"""

import math
from collections import Counter, deque

from tests.emulators.slack.wire import METHODS

TIER_PER_MINUTE = {1: 1, 2: 20, 3: 50, 4: 100}
SPECIAL_PER_MINUTE = {"chat.postMessage": 300, "assistant.threads.setStatus": 60, "auth.test": 300}
POST_BURST = 2


class RateLimits:
    """Sliding windows. `check` answers None, or the seconds to wait."""

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self.met: Counter[str] = Counter()
        """How often each method was refused."""

        self._calls: dict[tuple[str, str], deque[float]] = {}
        self._post_tokens: dict[str, tuple[float, float]] = {}

    def check(self, method: str, team_id: str, now_s: float, channel: str | None = None) -> int | None:
        wait_s = self._check(method, team_id, now_s, channel) if self.enabled else None
        self.met[method] += wait_s is not None
        return wait_s

    def _check(self, method: str, team_id: str, now_s: float, channel: str | None) -> int | None:
        if method == "chat.postMessage" and channel and (wait := self._post(channel, now_s)) is not None:
            return wait
        most = TIER_PER_MINUTE.get(METHODS["methods"][method]["tier"]) or SPECIAL_PER_MINUTE.get(method)
        if most is None:
            return None
        calls = self._calls.setdefault((method, team_id), deque())
        while calls and calls[0] <= now_s - 60:
            calls.popleft()
        if len(calls) >= most:
            return max(1, math.ceil(calls[0] + 60 - now_s))
        calls.append(now_s)
        return None

    def _post(self, channel: str, now_s: float) -> int | None:
        left, at_s = self._post_tokens.get(channel, (float(POST_BURST), now_s))
        left = min(float(POST_BURST), left + (now_s - at_s))
        if left < 1:
            self._post_tokens[channel] = (left, now_s)
            return 1
        self._post_tokens[channel] = (left - 1, now_s)
        return None
