"""Raw HTTP requests, also malformed and forged ones."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any

ANSWER_LIMIT_S = 20
SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
DEEP = b"[" * 100_000


async def open_raw(port: int, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()
    return reader, writer


async def ask_raw(port: int, data: bytes) -> bytes:
    """Send bytes; returns everything that the server sends until it closes."""
    reader, writer = await open_raw(port, data)
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S):
            return await reader.read()
    finally:
        writer.close()


def post(path: str, body: bytes, headers: Mapping[str, Any] | None = None, declared: int | None = None) -> bytes:
    lines = [f"POST {path} HTTP/1.1".encode(), b"Host: 127.0.0.1", b"Connection: close"]
    for name, value in (headers or {}).items():
        lines.append(name.encode() + b": " + (value if isinstance(value, bytes) else value.encode()))
    lines.append(f"Content-Length: {len(body) if declared is None else declared}".encode())
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def slack_signed(body: bytes, stamp: str | None = None) -> dict[str, str | bytes]:
    stamp = stamp or str(int(time.time()))
    mac = hmac.new(SIGNING_SECRET.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={mac}", "Content-Type": "application/json"}


FAL = {"X-Fal-Webhook-Request-Id": "12345678-1234-1234-1234-123456789012", "X-Fal-Webhook-Signature": "00" * 64}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def attacks() -> dict[str, bytes]:
    """Requests that a stranger may send; each must be a 4xx (or 503 if a service is not available)."""
    now = str(int(time.time()))
    multipart = {"Content-Type": "multipart/form-data; boundary=b"}
    return {
        "login, bad bytes": post("/login", b"token=%ff\xff\xfe", FORM),
        "login, charset": post("/login", b"token=x", {"Content-Type": FORM["Content-Type"] + "; charset=bogus"}),
        "login, multipart": post("/login", b"--b\r\nnonsense", multipart),
        "login, many fields": post("/login", b"a=1&" * 10_000, FORM),
        "login, compressed": post("/login", b"\x1f\x8b\x00", FORM | {"Content-Encoding": "gzip"}),
        "login, bad chunk": b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        "login, too large": post("/login", b"", FORM, declared=10_000_000),
        "slack, no signature": post("/slack/events", b"{}"),
        "slack, other digits": post("/slack/events", b"{}", slack_signed(b"{}") | {"X-Slack-Request-Timestamp": "²"}),
        "slack, signature bytes": post("/slack/events", b"{}", slack_signed(b"{}") | {"X-Slack-Signature": b"v0=\xff"}),
        "slack, huge stamp": post("/slack/events", b"{}", slack_signed(b"{}", "9" * 5_000)),
        "slack, unsigned depth": post("/slack/events", DEEP, {"Content-Type": "application/json"}),
        "slack, signed depth": post("/slack/events", DEEP, slack_signed(DEEP)),
        "slack, signed bytes": post("/slack/events", b"\xff\xfe", slack_signed(b"\xff\xfe")),
        "slack, charset": post("/slack/events", b"{}", {"Content-Type": "application/json; charset=bogus"}),
        "oauth, no state": b"GET /slack/oauth_redirect?code=x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        "oauth, bytes": b"GET /slack/oauth_redirect?state=%ff.\xff&code=x HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Cookie: slack-install-state=\xff\xfe\r\nConnection: close\r\n\r\n",
        "fal, no headers": post("/fal/webhook/x", b"{}"),
        "fal, keys away": post("/fal/webhook/x", b"{}", {**FAL, "X-Fal-Webhook-Timestamp": now}),
        "fal, bytes": post(
            "/fal/webhook/x?t=%ff", DEEP, {**FAL, "X-Fal-Webhook-Timestamp": now, "X-Fal-Webhook-User-Id": b"\xff\xfe"}
        ),
        "api, bearer bytes": post("/api/estimate", DEEP, {"Authorization": b"Bearer \xff\xfe"}),
        "api, cookie bytes": post("/api/jobs", b"", {"Cookie": b"upscale_session=9.9.\xff"}),
        "api, cookie digits": post("/api/jobs", b"", {"Cookie": "upscale_session=².x.y".encode()}),
        "files, bytes": b"GET /files/x/\xff?sig=1.\xff HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        "long header": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        "length twice": b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    }
