"""What the emulator remembers: every request it saw, its jobs, its files."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.emulators.fal.outcomes import Ok, Outcome


@dataclass(frozen=True)
class Recorded:
    """One request as it came in. Bodies are kept for JSON requests only."""

    service: str
    route: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    json: Any
    at_s: float


@dataclass
class StoredFile:
    path: Path
    content_type: str
    name: str
    size_bytes: int
    lifecycle: dict[str, Any] | None
    uploaded: bool


@dataclass
class FalJob:
    """A request in the queue. `changed` is replaced at every change, so that streams can wait for it."""

    request_id: str
    endpoint: str
    model_input: dict[str, Any]
    webhook: str | None
    headers: Mapping[str, str]
    outcome: Outcome = field(default_factory=Ok)
    status: str = "IN_QUEUE"
    logs: list[dict[str, Any]] = field(default_factory=list)
    sent_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_at: datetime | None = None
    ended_at: datetime | None = None
    completed_at_s: float | None = None
    inference_s: float | None = None
    result_status: int = 200
    result_body: Any = None
    result_headers: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    error_type: str | None = None
    units: str | None = None
    cancel_requested: bool = False
    removed: bool = False
    erased: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def app(self) -> str:
        """The endpoint without its path: addresses of requests have only this."""
        return "/".join(self.endpoint.split("/")[:2])

    def touch(self) -> None:
        event, self.changed = self.changed, asyncio.Event()
        event.set()

    def log(self, message: str, level: str = "INFO") -> None:
        entry = {
            "message": message,
            "level": level,
            "source": "USER",
            "timestamp": datetime.now(UTC).isoformat(),
        }
        self.logs.append(entry)
        self.touch()
