"""Fencing tokens: only one process at a time may change a job.

A process registers under a fresh token (`Lease`), which is revoked when the process is considered dead. A run of a job
claims the job's row with the token (`claim`); changes made inside `owning` apply only while the row still carries it.
A process that was paused, and considered dead meanwhile, therefore changes nothing when it resumes.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

_OWNED: ContextVar[tuple[str, str] | None] = ContextVar("owned_job", default=None)


class NotOwner(Exception):
    """Another process owns this job now, or this process is considered dead: change nothing, send nothing."""


class LeaseUnsure(Exception):
    """It is unknown at the moment whether this process still counts as alive: try again soon."""


class Lease(Protocol):
    """The registration of a live process."""

    @property
    def token(self) -> str:
        """The current token of this process; a new one after it was considered dead."""

    async def confirm(self) -> float:
        """The time (`awake_clock_s`) until which no other process can take this one's jobs. Raises LeaseUnsure."""


def new_token() -> str:
    """A random token, never used before."""
    return secrets.token_hex(12)


def awake_clock_s() -> float:
    """A monotonic clock in seconds that also advances while the process or the machine is suspended."""
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_time is None else time.clock_gettime(boot_time)


@contextmanager
def owning(job_id: str, token: str) -> Iterator[None]:
    """Within this context, changes to the job apply only while its row carries this token."""
    reset = _OWNED.set((job_id, token))
    try:
        yield
    finally:
        _OWNED.reset(reset)


def owner_token(job_id: str) -> str | None:
    """The token that changes to this job are bound to in this context; None outside `owning`."""
    owned = _OWNED.get()
    return owned[1] if owned is not None and owned[0] == job_id else None
