"""Parses fal's responses. They are untrusted: size is bounded, and no function raises because of the content."""

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy

from core.ports import RemoteCompleted, RemoteQueued, RemoteRunning, RemoteStatus

MAX_REPLY_BYTES = 8 * 1024**2
MAX_RESULT_BYTES = 64 * 1024**2
"""A result may contain its image as a `data:` URI."""

RETRY_AFTER_LIMIT_S = 300.0
MAX_NUMBER = 10.0**18
MAX_LINE_BYTES = 4 * 1024**2
"""A status event repeats the whole log; a longer line is dropped."""

MAX_LOG_LINES = 200
LOG_LINE_CHARS = 2000
MAX_LOG_STEPS = 100_000

_PERCENT = re.compile(r"(?<![\d.])(\d{1,3})(?:\.\d{1,6})?\s?%")
_OF = re.compile(r"(?<![\d./])(\d{1,6})\s?(?:/|of)\s?(\d{1,6})(?![\d./])", re.IGNORECASE)
_PREPARING = re.compile(r"\b(?:load|fetch|download|warm)(?:ing|ed)?\b", re.IGNORECASE)
_PROGRESS_WORDS = re.compile(r"\b(?:step|tile|iter|iteration|progress|chunk)s?\b|it/s|s/it|\|", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """A complete response, read into memory up to a limit."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def data(self) -> Any:
        """Return the JSON value, or None if the body is not JSON."""
        return parse_json(self.body)

    def at(self, *path: str | int) -> Any:
        return dig(self.data(), *path)

    def text_at(self, *path: str | int) -> str:
        """Return the text at this path of the JSON, or an empty one."""
        found = self.at(*path)
        return found if isinstance(found, str) else ""

    def retry_after_s(self, now: float) -> float | None:
        """Parse Retry-After to seconds from `now` (unix), at most five minutes; None if missing or invalid."""
        text = self.headers.get("Retry-After", "").strip()
        try:
            seconds = float(text) if text[:1].isdigit() else parsedate_to_datetime(text).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None
        return min(max(seconds, 0.0), RETRY_AFTER_LIMIT_S)

    def from_gateway(self) -> bool:
        """Whether a proxy in front of fal sent this 5xx, which is then not JSON."""
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR and self.data() is None


async def read_answer(response: aiohttp.ClientResponse, max_bytes: int = MAX_REPLY_BYTES) -> Answer:
    """Read a response body up to the limit; a larger one is truncated, and so no longer JSON."""
    parts: list[bytes] = []
    size_bytes = 0
    async for chunk in response.content.iter_any():
        parts.append(chunk)
        size_bytes += len(chunk)
        if size_bytes > max_bytes:
            break
    return Answer(response.status, response.headers, b"".join(parts)[:max_bytes])


def parse_json(body: bytes) -> Any:
    """Return the JSON value, or None. A byte that is no UTF-8, such as in a caption, does not cost the rest."""
    try:
        return json.loads(body.decode("utf-8-sig", errors="replace"))
    except (ValueError, RecursionError):
        return None


def dig(data: Any, *path: str | int) -> Any:
    """Return what is at this path of a JSON value, or None."""
    for key in path:
        inside = isinstance(data, dict) and key in data
        if not inside and not (isinstance(data, list) and isinstance(key, int) and key < len(data)):
            return None
        data = data[key]
    return data


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list; empty for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def number(value: Any) -> float | None:
    """Return a non-negative JSON number; None for anything else, including NaN, booleans and absurdly large ones."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_NUMBER
    return value if good else None


def whole_number(value: Any) -> int | None:
    """Like `number`, truncated to an integer."""
    found = number(value)
    return None if found is None else int(found)


def percent_in(line: str) -> float | None:
    """Parse percent 0–100 from a log line: a tqdm bar (`40%|████`), `12/20`, `step 12 of 20`; else None."""
    line = line[:LOG_LINE_CHARS]
    if _PREPARING.search(line):
        return None
    if (found := _PERCENT.search(line)) and int(found[1]) <= 100:
        return float(found[1])
    if not (_PROGRESS_WORDS.search(line) or _OF.fullmatch(line.strip())):
        return None
    for found in _OF.finditer(line):
        done, total = int(found[1]), int(found[2])
        if 0 < total <= MAX_LOG_STEPS and done <= total:
            return 100.0 * done / total
    return None


def percent_of(logs: Any) -> float | None:
    """Return the newest percentage in a status object's `logs`, or None."""
    if not isinstance(logs, list):
        return None
    messages = (dig(entry, "message") for entry in reversed(logs[-MAX_LOG_LINES:]))
    # A carriage return redraws tqdm's bar within one log entry; the last redraw is the newest.
    parts = (reversed(re.split(r"[\r\n]+", message)) for message in messages if isinstance(message, str))
    found = map(percent_in, itertools.chain.from_iterable(parts))
    return next((percent for percent in found if percent is not None), None)


def status_from(data: Any) -> RemoteStatus | None:
    """Parse a status object; None for anything else."""
    word = dig(data, "status")
    match word.upper() if isinstance(word, str) else None:
        case "IN_QUEUE":
            return RemoteQueued(whole_number(dig(data, "queue_position")))
        case "IN_PROGRESS":
            return RemoteRunning(percent_of(dig(data, "logs")))
        case "COMPLETED" | "FAILED" | "ERROR" | "CANCELLED" | "CANCELED":
            # Only COMPLETED is documented; without the others we would wait for an hour. The result, which is read
            # next, says how the request ended.
            return RemoteCompleted()
        case _:
            return None


class EventLines:
    """Incremental parser of server-sent events. Comments, other fields and invalid lines are ignored."""

    def __init__(self) -> None:
        self._rest = b""
        self._dropping = False

    def feed(self, chunk: bytes) -> Iterator[RemoteStatus]:
        *lines, rest = (self._rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            rest, self._dropping = b"", True
        self._rest = rest
        for line in lines:
            if self._dropping:
                self._dropping = False
                continue
            if line.startswith(b"data:") and (status := status_from(parse_json(line[5:]))) is not None:
                yield status
