"""Read complete request bodies before authentication, with a deadline and limits in total and per client.

A client that has too many half-sent bodies loses the oldest of them; other clients are not affected.
"""

import asyncio
from dataclasses import dataclass, field

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

BODY_TIMEOUT_S = 10.0
MAX_BODY_BYTES = 2 * 1024**2
"""Webhooks and events are far smaller. Uploads are streamed, with a limit of their own."""
MAX_PER_CLIENT = 500
MAX_WAITING = 1_000
MAX_WAITING_BYTES = 64 * 1024**2


@dataclass(eq=False)
class _Waiting:
    client: str
    timeout: asyncio.Timeout
    bytes: int = 0


@dataclass
class RequestBodies:
    body_timeout_s: float = BODY_TIMEOUT_S
    per_client: int = MAX_PER_CLIENT
    _waiting: dict[_Waiting, None] = field(default_factory=dict)

    async def read(self, request: web.Request, client: str) -> None:
        """Read the whole body into the request, for `request.read()`, `.text()` and the like.

        Raises HTTPRequestTimeout, HTTPRequestEntityTooLarge, HTTPUnsupportedMediaType, or HTTPBadRequest.
        """
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise _closing(web.HTTPUnsupportedMediaType(text="Send the body uncompressed.\n"))
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise _closing(web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES, request.content_length or 0))
        try:
            async with asyncio.timeout(self.body_timeout_s) as timeout:
                waiting = _Waiting(client, timeout)
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
        same_client = [waiting for waiting in self._waiting if waiting.client == client]
        if len(same_client) >= self.per_client:
            self._give_up(same_client[0])
        elif len(self._waiting) >= MAX_WAITING:
            clients = [waiting.client for waiting in self._waiting]
            busiest = max(set(clients), key=clients.count)
            self._give_up(next(waiting for waiting in self._waiting if waiting.client == busiest))

    def _give_up(self, waiting: _Waiting) -> None:
        self._waiting.pop(waiting, None)
        waiting.timeout.reschedule(0)


def _closing(answer: web.HTTPException) -> web.HTTPException:
    answer.force_close()
    return answer
