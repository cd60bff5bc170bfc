"""Who may carry a job on: one process at a time, by a token that is struck off when the process is taken for dead.

A process signs in under a fresh token (`Lease`). A run of a job claims the job's row with that token (`claim`), and
whatever it changes inside `owning` is changed only while the row still carries it. A paused process that was taken
for dead therefore changes nothing when it wakes up.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

_OWNED: ContextVar[tuple[str, str] | None] = ContextVar("owned_job", default=None)


class NotOwner(Exception):
    """Another process carries this job on by now, or this process was taken for dead: change nothing, send nothing."""


class LeaseUnsure(Exception):
    """Whether this process still counts as alive cannot be told just now: try again soon."""


class Lease(Protocol):
    """A process's sign that it is alive."""

    @property
    def token(self) -> str:
        """The token under which this process is signed in now; a new one after it was taken for dead."""

    async def confirm(self) -> float:
        """Until when (`awake_clock_s`) nobody else can take this process's jobs. Raises LeaseUnsure."""


def new_token() -> str:
    """A token that no process ever had."""
    return secrets.token_hex(12)


def awake_clock_s() -> float:
    """Seconds that go on while the process, or the whole machine, is stopped."""
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_time is None else time.clock_gettime(boot_time)


@contextmanager
def owning(job_id: str, token: str) -> Iterator[None]:
    """Inside, changes of this job are made only while its row carries this token."""
    reset = _OWNED.set((job_id, token))
    try:
        yield
    finally:
        _OWNED.reset(reset)


def owner_token(job_id: str) -> str | None:
    """The token that changes of this job are bound to here; None outside `owning`."""
    owned = _OWNED.get()
    return owned[1] if owned is not None and owned[0] == job_id else None
