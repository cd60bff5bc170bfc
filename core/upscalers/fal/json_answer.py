"""fal's answers as bounded bytes and as JSON that may be anything: no reader of them raises because of what came."""

import json
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy

MAX_REPLY_BYTES = 8 * 1024**2
MAX_RESULT_BYTES = 64 * 1024**2
"""A result may hold its picture as a `data:` URI."""

RETRY_AFTER_LIMIT_S = 300.0
LARGEST_NUMBER = 10.0**18


@dataclass(frozen=True)
class Answer:
    """A whole reply, read into memory up to `MAX_REPLY_BYTES`."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def data(self) -> Any:
        """The JSON value, or None where the body is none."""
        return parsed(self.body)

    def at(self, *path: str | int) -> Any:
        """What lies at this place of the JSON, or None."""
        return dig(self.data(), *path)

    def text_at(self, *path: str | int) -> str:
        """The text at this place of the JSON; empty where there is none."""
        found = self.at(*path)
        return found if isinstance(found, str) else ""

    def retry_after_s(self, now: float) -> float | None:
        """What Retry-After says in seconds from `now` (unix), at most five minutes; None where it says nothing."""
        text = self.headers.get("Retry-After", "").strip()
        try:
            seconds = float(text) if text[:1].isdigit() else parsedate_to_datetime(text).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None
        return min(max(seconds, 0.0), RETRY_AFTER_LIMIT_S)

    def from_gateway(self) -> bool:
        """Whether a proxy in front of fal made this 5xx: no request id, and not JSON."""
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR and self.data() is None


async def read_answer(response: aiohttp.ClientResponse, max_bytes: int = MAX_REPLY_BYTES) -> Answer:
    """Read a reply's body up to the cap; a larger one is cut, and so no longer JSON."""
    parts: list[bytes] = []
    size_bytes = 0
    async for chunk in response.content.iter_any():
        parts.append(chunk)
        size_bytes += len(chunk)
        if size_bytes > max_bytes:
            break
    return Answer(response.status, response.headers, b"".join(parts)[:max_bytes])


def parsed(body: bytes) -> Any:
    """The JSON value of these bytes, or None."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def dig(data: Any, *path: str | int) -> Any:
    """What lies at this place of a JSON value, or None."""
    for key in path:
        inside = isinstance(data, dict) and key in data
        if not inside and not (isinstance(data, list) and isinstance(key, int) and key < len(data)):
            return None
        data = data[key]
    return data


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; empty for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def number(value: Any) -> float | None:
    """A JSON number that is not negative; None for anything else, the absurdly large, NaN and booleans too."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LARGEST_NUMBER
    return value if good else None


def whole(value: Any) -> int | None:
    """As `number`, without what is behind the point."""
    found = number(value)
    return None if found is None else int(found)
