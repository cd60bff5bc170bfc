"""Requests that try to pass the token, the origin, the host or a signature, or to break whoever reads them."""

import itertools

from tests.attacks.scene import Attack, Scene
from tests.attacks.strangers import many

_PRIVATE = ("/api/history", "/api/events", "/api/usage", "/api/zip", "/api/export", "/metrics", "/api/places")
_SPELLINGS = (
    "/{0}", "//{0}", "/./{0}", "/x/../{0}", "/..;/{0}", "/;/{0}", "/{0};x=1", "/{0}/", "/{0}%00", "/{0}%2f", "/%2f{0}",
    "/%2e/{0}", "/{0}?", "/{0}#x", "/{0}%23", "/{0}%3f", "/{0}.json", "/{0}%20", "/\\{0}", "/%5c{0}", "/login/..%2f{0}",
    "http://127.0.0.1/{0}", "http://evil.example/{0}", "http://[::1/{0}", "http://127.0.0.1:99999/{0}", "{0}", "*/{0}",
)  # fmt: skip
_HEADERS = (
    b"Authorization: Bearer", b"Authorization: Bearer ", b"Authorization: bearer null", b"Authorization: Basic Og==",
    b"Authorization: Bearer a\r\nAuthorization: Bearer b", b"Authorization: Bearer a, Bearer b", b"Authorization: \t",
    b"Authorization: Bearer " + b"a" * 7_000, b"X-Authorization: Bearer a", b"Proxy-Authorization: Bearer a",
    b"Cookie: upscale_session=", b"Cookie: upscale_session=9999999999.a.", b"Cookie: upscale_session=.." + b"0" * 64,
    b"Cookie: upscale_session=1e99.a." + b"0" * 64, b"Cookie: upscale_session=a; upscale_session=b",
    b"Cookie: =;;=\xff",
    b'Cookie: upscale_session="\\"', b"Cookie: " + b"[" * 4_000, b"X-Forwarded-For: 127.0.0.1",
    b"X-Forwarded-For: " + b"," * 4_000, b"X-Real-IP: 127.0.0.1", b"Forwarded: for=127.0.0.1;host=127.0.0.1",
    b"X-Forwarded-Host: 127.0.0.1", b"X-HTTP-Method-Override: GET", b"X-Original-URL: /login", b"X-Rewrite-URL: /login",
    b"Origin: http://[", b"Origin: http://[::1", b"Origin: http://]/", b"Origin: http://a\xff", b"Origin: null",
    b"Origin: http://127.0.0.1.evil.example", b"Origin: http://127.0.0.1@evil.example", b"Origin: //\xe2\x84\x80",
    b"Origin: http://127.0.0.1\r\nOrigin: http://evil.example", b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Site: ",
    b"Referer: http://[", b"Accept-Language: " + b"\xff;q=\xff," * 50, b"Accept-Language: *;q=nan", b"Accept: \xff",
    b"Last-Event-ID: \xff", b"Last-Event-ID: 99999999999999999999", b"If-Modified-Since: \xff", b"Range: bytes=-\xff",
    b"If-Range: \xff", b"Content-Type: \xff", b"Content-Type: ;;;=", b"Idempotency-Key: \xff", b"TE: \xff", b"Host2: x",
)  # fmt: skip
_HOSTS = (
    b"evil.example", b"127.0.0.1.evil.example", b"localhost.evil.example", b"evil.example:80@127.0.0.1", b"[::1",
    b"127.0.0.1@evil.example", b"[::ffff:1.2.3.4].evil.example", b"evil.example.", b"\xff.example", b"bot.example.evil",
    b"evil.example#127.0.0.1", b"evil.example\\127.0.0.1", b"xn--.example", b"%6cocalhost.example", b"1.2.3.4.nip.io",
)  # fmt: skip
_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "get", "PROPFIND")


def doors() -> list[bytes]:
    """Each spelling of a private path, each header and each foreign host once; methods and paths in turn."""
    paths, methods = itertools.cycle(_PRIVATE), itertools.cycle(_METHODS)
    plain, end = b"Host: 127.0.0.1\r\n", b"Connection: close\r\nContent-Length: 0\r\n\r\n"
    lines = [f"GET {spelling.format(next(paths)[1:])} HTTP/1.1\r\n".encode() + plain for spelling in _SPELLINGS]
    lines += [f"{method} {path} HTTP/1.1\r\n".encode() + plain for method in _METHODS for path in _PRIVATE]
    for header in _HEADERS:
        lines.append(f"{next(methods)} {next(paths)} HTTP/1.1\r\n".encode() + plain + header + b"\r\n")
        lines.append(b"POST /login HTTP/1.1\r\n" + plain + header + b"\r\n")
    lines += [f"GET {next(paths)} HTTP/1.1\r\nHost: ".encode() + host + b"\r\n" for host in _HOSTS]
    return [line + end for line in lines]


async def at_the_door(scene: Scene, size: int) -> str:
    return await many(scene, doors() * size)


ATTACKS = (Attack(f"{len(doors())} ways around the token, the origin and the host", at_the_door, 5, 1),)
