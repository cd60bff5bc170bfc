"""What anybody does who merely opens sockets. None of it may leave a row or a traceback, or slow `/healthz` down."""

import asyncio
import contextlib
import gzip
import itertools
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from tests.attacks.scene import TOKEN, Attack, Scene, counted, each
from tests.bot.raw_requests import FORM, attacks, post

_HOLD_S = 3.0
_PATHS = ("/login", "/slack/events", "/fal/webhook/x", "/api/jobs", "/api/estimate")
_ROUTES = ("/", "/login", "/healthz", "/slack/events", "/slack/install", "/api/jobs/x/events", "/files/a/b", "/metrics")


async def raw(scene: Scene, data: bytes, *, within_s: float = 20.0) -> str:
    """The first line of the answer to these bytes."""
    reader, writer = await scene.connect()
    try:
        writer.write(data)
        async with asyncio.timeout(within_s):
            return (await reader.readline()).decode("latin-1").strip()
    except (OSError, TimeoutError):
        return "nothing"
    finally:
        writer.close()


@asynccontextmanager
async def held(scene: Scene, sent: Iterable[bytes]) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Connections on which these bytes were sent, kept open."""
    async with contextlib.AsyncExitStack() as stack:
        readers = []
        for data in sent:
            with contextlib.suppress(OSError):
                reader, writer = await scene.connect()
                stack.callback(writer.close)
                writer.write(data)
                readers.append(reader)
        yield readers


async def open_still(readers: list[asyncio.StreamReader]) -> int:
    """How many were neither answered nor closed."""
    done = await asyncio.wait([asyncio.ensure_future(reader.read(1)) for reader in readers], timeout=0.5)
    for one in done[1]:
        one.cancel()
    return len(done[1])


async def many(scene: Scene, requests: Iterable[bytes]) -> str:
    """All of these, some at once; how often each status was answered."""
    lines = await each((raw(scene, data) for data in requests), 50)
    return counted(line.split(" ")[1] if line.startswith("HTTP/") else "closed" for line in lines)


async def half_sent(scene: Scene, size: int) -> str:
    paths = itertools.cycle(_PATHS)
    async with held(scene, (post(next(paths), b"half", declared=100) for _ in range(size))) as readers:
        await asyncio.sleep(_HOLD_S)
        statuses = [await scene.get(path) for path in ("/healthz", "/login")]
        return f"{await open_still(readers)} of {size} still open; a page answers {statuses[1]}"


async def silent(scene: Scene, size: int) -> str:
    async with held(scene, (b"" for _ in range(size))) as readers:
        await asyncio.sleep(_HOLD_S)
        return f"{await open_still(readers)} of {size} still open"


async def dripping(scene: Scene, size: int) -> str:
    """Headers and bodies, one byte now and then."""
    starts = (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", post("/login", b"a", declared=2_000_000))
    alive: list[int] = []

    async def one(start: bytes) -> None:
        _, writer = await scene.connect()
        with contextlib.suppress(OSError):
            writer.write(start)
            for _ in range(400):
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(0.05)
            alive.append(1)
        writer.close()

    async with asyncio.TaskGroup() as group:
        for start in itertools.islice(itertools.cycle(starts), size):
            group.create_task(one(start))
    return f"{len(alive)} of {size} lived longer than 20 s"


async def not_reading(scene: Scene, size: int) -> str:
    """Answers asked for and never read."""
    ask = b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    async with held(scene, (ask * 50 for _ in range(size))):
        await asyncio.sleep(_HOLD_S)
    return f"{size} connections with 50 answers each"


async def malformed(scene: Scene, size: int) -> str:
    return await many(scene, itertools.chain.from_iterable(attacks().values() for _ in range(size)))


async def visits(scene: Scene, size: int) -> str:
    host = b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    one = b"GET /slack/install" + host
    return await many(
        scene, (one if n % 2 else f"GET /slack/oauth_redirect?state={n}.x&code=y".encode() + host for n in range(size))
    )


def bodies() -> dict[str, tuple[bytes, str]]:
    """By name: a body that costs its reader more than its sender, and its type."""
    part = b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n'
    long_name = b'--b\r\nContent-Disposition: form-data; name="' + b"n" * 200_000 + b'"\r\n\r\nx\r\n--b--\r\n'
    return {
        "parts": (b"".join(part % n for n in range(10_000)) + b"--b--\r\n", "multipart/form-data; boundary=b"),
        "headers": (b"--b\r\n" + b"X-A: b\r\n" * 50_000 + b"\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b"),
        "name": (long_name, "multipart/form-data; boundary=b"),
        "nested": (
            b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * 5_000,
            "multipart/form-data; boundary=b",
        ),
        "fields": (b"&".join(b"f%d=1" % n for n in range(100_000)), "application/x-www-form-urlencoded"),
        "percent": (b"text=" + b"%F0%9F%92%A9" * 50_000, "application/x-www-form-urlencoded"),
        "depth": (b'{"text":' + b"[" * 200_000, "application/json"),
        "numbers": (b'{"factor":' + b"9" * 400_000 + b"}", "application/json"),
        "keys": (b"{" + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}", "application/json"),
        "surrogates": (b'{"text":"' + b"\\ud800" * 50_000 + b'"}', "application/json"),
    }


async def heavy_bodies(scene: Scene, size: int, *, signed_in: bool = False) -> str:
    headers: dict[str, str | bytes] = {"Authorization": f"Bearer {TOKEN}"} if signed_in else {}
    return await many(
        scene,
        (
            post(path, body, {"Content-Type": kind, **headers})
            for _ in range(size)
            for body, kind in bodies().values()
            for path in (*_PATHS, "/api/limits", "/api/pause", "/api/defaults")
        ),
    )


async def heavy_bodies_signed_in(scene: Scene, size: int) -> str:
    return await heavy_bodies(scene, size, signed_in=True)


async def bombs(scene: Scene, size: int) -> str:
    bomb = gzip.compress(bytes(50_000_000))
    kinds = ("gzip", "deflate", "br", "zstd", "gzip, gzip", "x-gzip")
    return await many(
        scene,
        (post(path, bomb, {"Content-Encoding": kind}) for _ in range(size) for kind in kinds for path in _PATHS),
    )


async def guesses(scene: Scene, size: int) -> str:
    bearer = {"Authorization": f"Bearer {secrets.token_hex(8)}"}
    wrong = (post("/login", b"token=" + secrets.token_hex(8).encode(), FORM), post("/api/estimate", b"{}", bearer))
    answered = await many(scene, wrong * (size // 2))
    status, _ = await scene.post("/api/estimate", json={"width": 64, "height": 64})
    return f"{answered}; the right token: {status}"


async def forged_links(scene: Scene, size: int) -> str:
    end = " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    made = (
        "/share/{a}/{b}",
        "/files/{a}/result.png?sig=9999999999.{b}",
        "/files/..%2f..%2f{a}/%00?sig={b}",
        "/s/{a}/{b}",
    )
    return await many(
        scene,
        (
            f"GET {form.format(a=secrets.token_hex(6), b=secrets.token_urlsafe(32))}{end}".encode()
            for _ in range(size)
            for form in made
        ),
    )


def smuggled() -> list[bytes]:
    """Requests that two servers might read differently, or that are no requests of this server."""
    host = b"Host: 127.0.0.1\r\n"
    upgrade = (
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    )
    inner = b"GET /api/history HTTP/1.1\r\n" + host + b"\r\n"
    chunk = b"POST /login HTTP/1.1\r\n" + host
    return [
        chunk + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
        chunk + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner,
        chunk + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner,
        chunk + b"Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n" + inner,
        chunk + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"e" * 60_000 + b"\r\nx\r\n0\r\n\r\n",
        chunk + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
        chunk + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: x\r\n" * 5_000 + b"\r\n",
        chunk + b"Content-Length: -1\r\n\r\n",
        chunk + b"Content-Length: +5\r\n\r\nhello",
        chunk + b"Content-Length: 5, 5\r\n\r\nhello",
        chunk + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        chunk + b"Expect: something-else\r\nContent-Length: 0\r\n\r\n",
        b"GET http://169.254.169.254/ HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /api/history HTTP/1.1\r\n" + host + b"X-Forwarded-For: 127.0.0.1\r\nX-Original-URL: /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"X: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"X\x00Y: a\r\n\r\n",
        b"GET / HTTP/1.1\n" + host.replace(b"\r", b"") + b"\n",
        b"GET / HTTP/9.9\r\n" + host + b"\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
        b"TRACE / HTTP/1.1\r\n" + host + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /" + b"%2e%2e/" * 1_000 + b"etc/passwd HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /?" + b"a[]=1&" * 1_200 + b" HTTP/1.1\r\n" + host + b"\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"".join(b"X-%d: y\r\n" % n for n in range(2_000)) + b"\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"Cookie: " + b"a=b;" * 1_900 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"Accept-Language: " + b"de;q=0.1," * 800 + b"\r\n\r\n",
        b"GET /login HTTP/1.1\r\n" + host + b"Range: bytes=" + b"0-1," * 1_500 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"If-None-Match: " + b'"a",' * 1_500 + b"\r\n\r\n",
        *(b"GET " + route.encode() + b" HTTP/1.1\r\n" + host + upgrade + b"\r\n" for route in _ROUTES),
    ]


async def smuggling(scene: Scene, size: int) -> str:
    return await many(scene, smuggled() * size)


async def pipelined(scene: Scene, size: int) -> str:
    """Many requests on one connection, whose answers are read."""
    one = b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    reader, writer = await scene.connect()
    writer.write(one * (size - 1) + last)
    answered = 0
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(60):
            while chunk := await reader.read(1 << 16):
                answered += chunk.count(b"HTTP/1.1 200 OK")
    writer.close()
    return f"{answered} answered"


async def nothing(scene: Scene, size: int) -> str:
    """For comparison."""
    await asyncio.sleep(size)
    return "the machine by itself"


ATTACKS = (
    Attack("nothing, for 10 s", nothing, 10, 0),
    Attack("2,005 half-sent bodies, held", half_sent, 2005, 60),
    Attack("2,005 connections that send nothing", silent, 2005, 60),
    Attack("200 headers and bodies that drip, 20 bytes a second", dripping, 200, 0),
    Attack("200 connections that read none of their 50 answers", not_reading, 200, 5),
    Attack("27 malformed requests, 20 times", malformed, 20, 1),
    Attack("500 visits to the installation page and made-up states", visits, 500, 10),
    Attack("multipart of 10,000 parts, 100,000 fields or keys, depth, long numbers and names", heavy_bodies, 2, 1),
    Attack("the same by somebody who is signed in", heavy_bodies_signed_in, 1, 1),
    Attack("compressed bodies of 50 MB", bombs, 5, 1),
    Attack("1,000 wrong tokens, then the right one", guesses, 1000, 20),
    Attack("800 forged links to shared results and files", forged_links, 200, 2),
    Attack("smuggled, folded, upgraded, proxied and oversized requests, 39 kinds", smuggling, 10, 1),
    Attack("2,000 requests in one packet", pipelined, 2000, 20),
)
