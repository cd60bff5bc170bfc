"""The emulator's clock: real time plus an offset that tests move. It never sleeps."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass
class Clock:
    offset_s: float = 0.0

    def now(self) -> float:
        """Unix time in seconds, moved by `offset_s`."""
        return time.time() + self.offset_s

    def advance(self, seconds: float) -> None:
        self.offset_s += seconds

    def iso(self, unix_s: float | None = None) -> str:
        return datetime.fromtimestamp(self.now() if unix_s is None else unix_s, UTC).isoformat()
