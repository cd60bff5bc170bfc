"""What Discord answers within one call of the library, which waits or tries again by itself and tells nobody.

A pause that Discord asks for is kept for whoever calls next: when the call is cancelled (a progress edit that took too
long), the next one to the same place would go out at once. A first answer that met a 5xx may have arrived all the same.
"""

import re
from types import SimpleNamespace

import aiohttp

from core.ports import Clock

KEPT = 1000
_PLACE = re.compile(r"/(webhooks/\d+/[^/]+|channels/\d+/messages)")
_FIRST_ANSWER = re.compile(r"/interactions/(\d+)/[^/]+/callback$")


class Pauses:
    """Until when a place is not to be called, and which interactions may have been answered by a call that failed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._unclear: dict[int, None] = {}

    def trace(self) -> aiohttp.TraceConfig:
        """For the client's session: notes each 429 and 5xx as it arrives."""
        config = aiohttp.TraceConfig()
        config.on_request_end.append(self._ended)
        return config

    async def _ended(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        first = _FIRST_ANSWER.search(params.url.path) if params.response.status >= 500 else None
        if first is not None:
            self._unclear[int(first[1])] = None
            if len(self._unclear) > KEPT:
                del self._unclear[next(iter(self._unclear))]
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

    def may_be_answered(self, interaction_id: int) -> bool:
        """Whether a first answer of ours met a 5xx, which leaves open whether Discord has it."""
        return interaction_id in self._unclear
