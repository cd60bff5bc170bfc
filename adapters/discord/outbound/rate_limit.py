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
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._blocked_until: dict[str, float] = {}
        self._maybe_acknowledged: dict[int, None] = {}

    def trace(self) -> aiohttp.TraceConfig:
        """A trace for the client's session that records each 429 and 5xx as it arrives."""
        config = aiohttp.TraceConfig()
        config.on_request_end.append(self._record)
        return config

    async def _record(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        path, response = params.url.path, params.response
        callback = _CALLBACK_PATH.search(path) if response.status >= 500 else None
        if callback is not None:
            self._maybe_acknowledged[int(callback[1])] = None
            if len(self._maybe_acknowledged) > MAX_ENTRIES:
                del self._maybe_acknowledged[next(iter(self._maybe_acknowledged))]
        bucket = _BUCKET_PATH.search(path)
        if response.status != 429 or bucket is None:
            return
        try:
            pause_s = float(response.headers.get("Retry-After", ""))
        except ValueError:
            return
        now = self._clock.now()
        if len(self._blocked_until) >= MAX_ENTRIES:
            self._blocked_until = {name: until for name, until in self._blocked_until.items() if until > now}
        self._blocked_until[bucket[1]] = now + pause_s

    def wait_s(self, bucket: str) -> float:
        """Seconds until `webhooks/APP/TOKEN` or `channels/ID/messages` may be called again; 0 if it may be now."""
        return max(0.0, self._blocked_until.get(bucket, 0.0) - self._clock.now())

    def may_be_acknowledged(self, interaction_id: int) -> bool:
        """Whether an acknowledgement met a 5xx, so that Discord may or may not have accepted it."""
        return interaction_id in self._maybe_acknowledged
