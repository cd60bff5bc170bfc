"""Answer the liveness probe in the callback that accepts its connection, in one iteration of the event loop.

aiohttp needs five, and under load each takes tens of milliseconds. The event loop still has to run to answer. Only a
complete, plain request is handled here; anything else goes to aiohttp.
"""

import json
from collections.abc import Callable, Mapping

PATH = "/healthz"
MAX_PROBE_BYTES = 1_024
_LINES = tuple(f"GET {PATH} HTTP/1.{minor}".encode() for minor in (0, 1))
_PLAIN = {b"host", b"user-agent", b"accept", b"accept-encoding", b"connection"}
"""Headers that probes send. None of them changes the answer or announces a body."""


class Liveness:
    """Holds the answer, and gives it to requests for a host that `allows` accepts."""

    def __init__(self, answer: Mapping[str, str], headers: Mapping[str, str], allows: Callable[[str], bool]) -> None:
        body = json.dumps(answer)
        given = {**headers, "Content-Type": "application/json; charset=utf-8", "Content-Length": len(body)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self._answer = f"HTTP/1.1 200 OK\r\n{lines}Connection: close\r\n\r\n{body}".encode()
        self._allows = allows

    def answer_to(self, request: bytes) -> bytes | None:
        """Return the response to the first bytes of a connection; None if they are not a complete, plain probe."""
        first, *lines = request.split(b"\r\n")
        if first not in _LINES or lines[-2:] != [b"", b""]:
            return None
        headers = [line.split(b":", 1) for line in lines[:-2]]
        names = [name.lower() for name, *_ in headers]
        if len(set(names)) < len(names) or not _PLAIN.issuperset(names) or b"host" not in names:
            return None
        host = headers[names.index(b"host")][-1].strip().decode("latin-1")
        return self._answer if self._allows(host) else None
