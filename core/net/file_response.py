"""Files as HTTP responses, and how many are being sent, since a client may read as slowly as it likes."""

from collections import Counter

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from core.net.client_address import CLIENT, UNKNOWN

MAX_FILES = 1_000
MAX_FILES_PER_CLIENT = 128
_sending: Counter[str] = Counter()
"""Files that are being sent, by client."""


def has_room(client: str) -> bool:
    """Whether one more file may be sent to this client."""
    return _sending[client] < MAX_FILES_PER_CLIENT and _sending.total() < MAX_FILES


class FileResponse(web.FileResponse):
    """A file, whole if the `Range` header cannot be read (RFC 9110, section 14.2); aiohttp would answer 416."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        try:
            request.http_range.indices(0)
        except ValueError:
            if not request.body_exists:  # which cannot be cloned once it is read
                headers = [(name, value) for name, value in request.headers.items() if name.lower() != "range"]
                request = request.clone(headers=headers)
        client = request.get(CLIENT, UNKNOWN)
        _sending[client] += 1
        try:
            return await super().prepare(request)
        finally:
            _sending[client] -= 1
            if not _sending[client]:
                del _sending[client]
