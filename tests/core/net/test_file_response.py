"""Files over HTTP: whole, in part, and whole again where the part asked for cannot be read."""

from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from core.net.file_response import FileResponse


@pytest.mark.parametrize(
    ("wanted", "status", "body"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=10-", 416, b""),
        *((unread, 200, b"0123456789") for unread in ("bytes", "bytes=", "bytes=-", "bytes=9-3", "bytes=a-b")),
        ("bytes=0-1,5-6", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
    ],
)
async def test_a_range_that_cannot_be_read_is_ignored(tmp_path: Path, wanted: str, status: int, body: bytes) -> None:
    (tmp_path / "digits").write_bytes(b"0123456789")

    async def answer(_: web.Request) -> web.StreamResponse:
        return FileResponse(tmp_path / "digits")

    app = web.Application()
    app.router.add_get("/", answer)
    async with (
        TestServer(app) as server,
        ClientSession() as http,
        http.get(server.make_url("/"), headers={"Range": wanted}) as told,
    ):
        assert (told.status, await told.read()) == (status, body)
