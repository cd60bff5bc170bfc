"""The liveness probe, answered in the callback that takes its connection: in one turn of the event loop.

aiohttp needs five, and while much goes on each lasts tens of milliseconds. It is the loop that answers all the same.
Only a whole, plain request is taken here; whatever else begins like one goes the way of all requests.
"""

import json
from collections.abc import Callable, Mapping

PATH = "/healthz"
MOST_BYTES = 1_024
_LINES = tuple(f"GET {PATH} HTTP/1.{minor}".encode() for minor in (0, 1))
_PLAIN = {b"host", b"user-agent", b"accept", b"accept-encoding", b"connection"}
"""What probes send. None of these changes the answer, or says that more is to come."""


class Liveness:
    """Knows the one answer, and who is given it: whoever names a host that `allows` lets pass."""

    def __init__(self, answer: Mapping[str, str], headers: Mapping[str, str], allows: Callable[[str], bool]) -> None:
        body = json.dumps(answer)
        given = {**headers, "Content-Type": "application/json; charset=utf-8", "Content-Length": len(body)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self._answer = f"HTTP/1.1 200 OK\r\n{lines}Connection: close\r\n\r\n{body}".encode()
        self._allows = allows

    def answer_to(self, request: bytes) -> bytes | None:
        """The whole answer to the first bytes of a connection; None where they are no plain probe, or not all of it."""
        first, *lines = request.split(b"\r\n")
        if first not in _LINES or lines[-2:] != [b"", b""]:
            return None
        headers = [line.split(b":", 1) for line in lines[:-2]]
        names = [name.lower() for name, *_ in headers]
        if len(set(names)) < len(names) or not _PLAIN.issuperset(names) or b"host" not in names:
            return None
        host = headers[names.index(b"host")][-1].strip().decode("latin-1")
        return self._answer if self._allows(host) else None
