"""fal's status objects, event streams and log lines to `RemoteStatus`. Pure; nonsense is None, never an exception."""

import re
from collections.abc import Iterator
from typing import Any

from core.ports import RemoteCompleted, RemoteQueued, RemoteRunning, RemoteStatus
from core.upscalers.fal.json_answer import dig, parsed, whole

LONGEST_LINE_BYTES = 4 * 1024**2
"""A status repeats the whole log; a line longer than this is dropped."""

LOG_LINES_LOOKED_AT = 200
LOG_LINE_CHARS = 2000
MOST_STEPS = 100_000

_PERCENT = re.compile(r"(?<![\d.])(\d{1,3})(?:\.\d{1,6})?\s?%")
_OF = re.compile(r"(?<![\d./])(\d{1,6})\s?(?:/|of)\s?(\d{1,6})(?![\d./])", re.IGNORECASE)
_PREPARING = re.compile(r"\b(?:load|fetch|download|warm)(?:ing|ed)?\b", re.IGNORECASE)
_PROGRESS_WORDS = re.compile(r"\b(?:step|tile|iter|iteration|progress|chunk)s?\b|it/s|s/it|\|", re.IGNORECASE)


def percent_in(line: str) -> float | None:
    """Percent 0–100 that one log line tells: a tqdm bar (`40%|████`), `12/20`, `step 12 of 20`; else None."""
    line = line[:LOG_LINE_CHARS]
    if _PREPARING.search(line):
        return None
    if (found := _PERCENT.search(line)) and int(found[1]) <= 100:
        return float(found[1])
    if not (_PROGRESS_WORDS.search(line) or _OF.fullmatch(line.strip())):
        return None
    for found in _OF.finditer(line):
        done, total = int(found[1]), int(found[2])
        if 0 < total <= MOST_STEPS and done <= total:
            return 100.0 * done / total
    return None


def percent_of(logs: Any) -> float | None:
    """What the newest telling line of a status object's `logs` says."""
    if not isinstance(logs, list):
        return None
    for entry in reversed(logs[-LOG_LINES_LOOKED_AT:]):
        message = dig(entry, "message")
        # A carriage return redraws tqdm's bar within one log entry; the last redraw is the newest.
        for line in reversed(re.split(r"[\r\n]+", message) if isinstance(message, str) else []):
            percent = percent_in(line)
            if percent is not None:
                return percent
    return None


def status_from(data: Any) -> RemoteStatus | None:
    """One status object as data; None for anything that is none."""
    word = dig(data, "status")
    match word.upper() if isinstance(word, str) else None:
        case "IN_QUEUE":
            return RemoteQueued(whole(dig(data, "queue_position")))
        case "IN_PROGRESS":
            return RemoteRunning(percent_of(dig(data, "logs")))
        case "COMPLETED" | "FAILED" | "ERROR" | "CANCELLED" | "CANCELED":
            # Only COMPLETED is documented; whatever else says "over" would otherwise be waited on for an hour.
            # The result, read next, tells what became of the request.
            return RemoteCompleted()
        case _:
            return None


class EventLines:
    """Server-sent events, a chunk at a time. Comments, other fields and broken lines are passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._dropping = False

    def feed(self, chunk: bytes) -> Iterator[RemoteStatus]:
        """The statuses that are complete with this chunk."""
        *lines, rest = (self._rest + chunk).split(b"\n")
        if len(rest) > LONGEST_LINE_BYTES:
            rest, self._dropping = b"", True
        self._rest = rest
        for line in lines:
            if self._dropping:
                self._dropping = False
                continue
            if line.startswith(b"data:") and (status := status_from(parsed(line[5:]))) is not None:
                yield status
