"""Odd links, and wrong and malformed responses of other servers."""

from pathlib import Path

import pytest

from core.domain.errors import DownloadFailed
from core.net.fetch import SourceFetcher, SourceLimits
from tests.core.net.site import raw_answers

OPEN = SourceFetcher(SourceLimits(retry_pause_s=0.0), allow_private=True)
PICTURE = b"\x89PNG" + bytes(range(256)) * 11
OK = b"HTTP/1.1 200 OK\r\n"
SIZED = b"Content-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE
ONE_BY_ONE = b"".join(b"1\r\n%c\r\n" % byte for byte in PICTURE)
CHUNK = b"%x\r\n%s\r\n0\r\n" % (len(PICTURE), PICTURE)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\n" + PICTURE,
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + SIZED,
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK + b"X: trailer\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + ONE_BY_ONE + b"0\r\n\r\n",
        OK + b"Content-Security-Policy: " + b"x" * 20_000 + b"\r\n" + SIZED,
        OK + b"Content-Encoding: gzip\r\n" + SIZED,
        OK + b"Content-Encoding: br, deflate\r\n" + SIZED,
        OK + b"Set-Cookie: \xff\xfe=\x80; Max-Age=\xb2; Expires=x\r\nRefresh: 0; url=file:///etc/passwd\r\n" + SIZED,
        OK + b"Content-Type: text/html; charset=\xff\r\nContent-Disposition: x; filename*=UTF-16''%ff\r\n" + SIZED,
    ],
)
async def test_bytes_come_as_they_are_whatever_the_answer_says_of_them(answer: bytes, tmp_path: Path) -> None:
    """Nothing is decompressed, so that no small response becomes a large file."""
    async with raw_answers(answer) as (host, _):
        fetched = await OPEN.fetch_link(f"http://{host}/", tmp_path / "x")
    assert fetched.path.read_bytes() == PICTURE


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (OK + b"Content-Length: -1\r\n\r\n" + PICTURE, "connection"),
        (OK + b"Content-Length: +5\r\n\r\n" + PICTURE, "connection"),
        (OK + "Content-Length: ٥\r\n\r\n".encode() + PICTURE, "connection"),
        (OK + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n" + PICTURE, "connection"),
        (OK + b"Content-Length: 5\r\n" + SIZED, "connection"),
        (OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNK + b"\r\n", "connection"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"F" * 40 + b"\r\n" + PICTURE, "connection"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK + b"X: trailer\r\n" * 200_000, "connection"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nP\r\n" * 100_000 + b"0\r\n\r\n", "truncated"),
        (OK + b"X: y\r\n" * 100_000 + SIZED, "connection"),
        (OK + b"X: " + b"y" * 1_000_000 + b"\r\n" + SIZED, "connection"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n" + PICTURE, "status"),
        (PICTURE, "connection"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000 + OK + SIZED, "connection"),
    ],
    ids=range(14),
)
async def test_an_answer_that_no_server_should_give_is_refused(answer: bytes, reason: str, tmp_path: Path) -> None:
    async with raw_answers(answer) as (host, _):
        with pytest.raises(DownloadFailed) as caught:
            await OPEN.fetch_link(f"http://{host}/", tmp_path / "x")
    assert (caught.value.reason, list(tmp_path.iterdir())) == (reason, [])


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("/https%3A%2F%2Fb.example%2F%7Ea%28b%29.png?blend=%2Fa%3Fb%26c&x=+%zz&s=a%2Bb%3D", None),
        ("/ä/😀.png?ü#part", "/%C3%A4/%F0%9F%98%80.png?%C3%BC"),
        ("/a/../b/./c.png?x=/../y", "/b/c.png?x=/../y"),
        ("?a", "/?a"),
    ],
)
async def test_a_link_is_asked_for_as_browsers_do(typed: str, sent: str | None, tmp_path: Path) -> None:
    """A signature covers the link's own spelling: escapes stay as they are, also after a redirect."""
    moved = f"HTTP/1.1 302 Found\r\nLocation: {typed}\r\nContent-Length: 0\r\n\r\n".encode()
    async with raw_answers(moved, OK + SIZED) as (host, asked):
        await OPEN.fetch_link(f"http://{host}{typed}", tmp_path / "x")
    assert [request.split()[1].decode() for request in asked] == [sent or typed] * 2
