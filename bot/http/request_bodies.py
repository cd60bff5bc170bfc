"""Reads whole request bodies before anything is known about their sender: under a deadline, caps and a share.

A client that has too many half-sent bodies loses the oldest of them; nobody else notices.
"""

import asyncio
from dataclasses import dataclass, field

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

BODY_LIMIT_S = 10.0
MAX_BODY_BYTES = 2 * 1024**2
"""Webhooks and events are far smaller. Uploads are streamed, with a cap of their own."""
MAX_PER_CLIENT = 500
MAX_WAITING = 1_000
MAX_WAITING_BYTES = 64 * 1024**2


@dataclass(eq=False)
class _Waiting:
    client: str
    limit: asyncio.Timeout
    bytes: int = 0


@dataclass
class RequestBodies:
    """All bodies that are being read now."""

    body_limit_s: float = BODY_LIMIT_S
    per_client: int = MAX_PER_CLIENT
    _waiting: dict[_Waiting, None] = field(default_factory=dict)

    async def read(self, request: web.Request, client: str) -> None:
        """Leave the whole body in the request, for `request.read()`, `.text()` and the like.

        Raises HTTPRequestTimeout, HTTPRequestEntityTooLarge, HTTPUnsupportedMediaType, or HTTPBadRequest.
        """
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise _closing(web.HTTPUnsupportedMediaType(text="Send the body uncompressed.\n"))
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise _closing(web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES, request.content_length or 0))
        try:
            async with asyncio.timeout(self.body_limit_s) as limit:
                waiting = _Waiting(client, limit)
                self._make_room(client)
                self._waiting[waiting] = None
                try:
                    request._read_bytes = await self._whole(request, waiting)
                finally:
                    self._waiting.pop(waiting, None)
        except TimeoutError:
            raise _closing(web.HTTPRequestTimeout(text="The body of this request did not arrive in time.\n")) from None
        except (web.RequestPayloadError, HttpProcessingError, ValueError):
            raise _closing(web.HTTPBadRequest(text="The body of this request cannot be read.\n")) from None

    async def _whole(self, request: web.Request, waiting: _Waiting) -> bytes:
        body = bytearray()
        async for chunk in request.content.iter_any():
            body += chunk
            waiting.bytes = len(body)
            if waiting.bytes > MAX_BODY_BYTES:
                raise _closing(web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES, waiting.bytes))
            if sum(other.bytes for other in self._waiting) > MAX_WAITING_BYTES:
                self._give_up(max(self._waiting, key=lambda other: other.bytes))
        return bytes(body)

    def _make_room(self, client: str) -> None:
        mine = [waiting for waiting in self._waiting if waiting.client == client]
        if len(mine) >= self.per_client:
            self._give_up(mine[0])
        elif len(self._waiting) >= MAX_WAITING:
            clients = [waiting.client for waiting in self._waiting]
            crowded = max(set(clients), key=clients.count)
            self._give_up(next(waiting for waiting in self._waiting if waiting.client == crowded))

    def _give_up(self, waiting: _Waiting) -> None:
        self._waiting.pop(waiting, None)
        waiting.limit.reschedule(0)


def _closing(answer: web.HTTPException) -> web.HTTPException:
    answer.force_close()
    return answer
