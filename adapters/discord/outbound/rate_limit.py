"""The pauses that Discord asks for, remembered for whoever calls next.

The library waits them out inside one call; when that call is cancelled (a progress edit that took too long), the next
one to the same place would go out at once. So every 429 is noted as it arrives, by the token or channel it is about.
"""

import re
from types import SimpleNamespace

import aiohttp

from core.ports import Clock

KEPT = 1000
_PLACE = re.compile(r"/(webhooks/\d+/[^/]+|channels/\d+/messages)")


class Pauses:
    """Until when a place is not to be called."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def trace(self) -> aiohttp.TraceConfig:
        """For the client's session: notes each 429 as it arrives."""
        config = aiohttp.TraceConfig()
        config.on_request_end.append(self._ended)
        return config

    async def _ended(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        found = _PLACE.search(params.url.path)
        if params.response.status != 429 or found is None:
            return
        try:
            asked_s = float(params.response.headers.get("Retry-After", ""))
        except ValueError:
            return
        now = self._clock.now()
        if len(self._until) >= KEPT:
            self._until = {place: until for place, until in self._until.items() if until > now}
        self._until[found[1]] = now + asked_s

    def left_s(self, place: str) -> float:
        """How long `webhooks/APP/TOKEN` or `channels/ID/messages` still has to be left alone; 0 if not at all."""
        return max(0.0, self._until.get(place, 0.0) - self._clock.now())
