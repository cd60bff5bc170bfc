"""Files as HTTP responses."""

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter


class FileResponse(web.FileResponse):
    """A file, whole if the `Range` header cannot be read (RFC 9110, section 14.2); aiohttp would answer 416."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        try:
            request.http_range.indices(0)
        except ValueError:
            if not request.body_exists:  # which cannot be cloned once it is read
                headers = [(name, value) for name, value in request.headers.items() if name.lower() != "range"]
                request = request.clone(headers=headers)
        return await super().prepare(request)
