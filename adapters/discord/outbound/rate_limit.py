"""Records the 429 and 5xx responses that discord.py handles internally and does not report.

A 429's pause is kept for the next caller: when the call that met it is cancelled (a progress edit that took too long),
the next call to the same bucket would go out at once. An acknowledgement that met a 5xx may still have been accepted.
"""

import re
from types import SimpleNamespace

import aiohttp

from core.ports import Clock

MAX_ENTRIES = 1000
_BUCKET_PATH = re.compile(r"/(webhooks/\d+/[^/]+|channels/\d+/messages)")
_CALLBACK_PATH = re.compile(r"/interactions/(\d+)/[^/]+/callback$")


class RateLimits:
    """Until when a bucket is not to be called, and which interactions may have been answered by a call that failed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._blocked_until: dict[str, float] = {}
        self._maybe_acknowledged: dict[int, None] = {}

    def trace(self) -> aiohttp.TraceConfig:
        """For the client's session: notes each 429 and 5xx as it arrives."""
        config = aiohttp.TraceConfig()
        config.on_request_end.append(self._ended)
        return config

    async def _ended(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        first = _CALLBACK_PATH.search(params.url.path) if params.response.status >= 500 else None
        if first is not None:
            self._maybe_acknowledged[int(first[1])] = None
            if len(self._maybe_acknowledged) > MAX_ENTRIES:
                del self._maybe_acknowledged[next(iter(self._maybe_acknowledged))]
        found = _BUCKET_PATH.search(params.url.path)
        if params.response.status != 429 or found is None:
            return
        try:
            asked_s = float(params.response.headers.get("Retry-After", ""))
        except ValueError:
            return
        now = self._clock.now()
        if len(self._blocked_until) >= MAX_ENTRIES:
            self._blocked_until = {bucket: until for bucket, until in self._blocked_until.items() if until > now}
        self._blocked_until[found[1]] = now + asked_s

    def wait_s(self, bucket: str) -> float:
        """How long `webhooks/APP/TOKEN` or `channels/ID/messages` still has to be left alone; 0 if not at all."""
        return max(0.0, self._blocked_until.get(bucket, 0.0) - self._clock.now())

    def may_be_acknowledged(self, interaction_id: int) -> bool:
        """Whether a first answer of ours met a 5xx, which leaves open whether Discord has it."""
        return interaction_id in self._maybe_acknowledged
