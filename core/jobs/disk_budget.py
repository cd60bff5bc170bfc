"""Room on this machine's disk for pictures that nobody has paid for yet: per member, in all, and never the last of it.

Counts what this process fetched; a restart forgets it, and the floor of free disk still holds.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from core.domain.errors import StorageFull


def free_bytes(folder: Path) -> int:
    """What the disk under `folder` has left; the nearest folder above where it does not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


class DiskBudget:
    """Whether something new may be fetched. `member_bytes` and `all_bytes` bound unpaid pictures, `floor_bytes` is left
    free in any case: what runs still needs room for its result.
    """

    def __init__(
        self,
        folder: Path,
        *,
        member_bytes: int,
        all_bytes: int,
        floor_bytes: int,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._folder = folder
        self._member_bytes = member_bytes
        self._all_bytes = all_bytes
        self._floor_bytes = floor_bytes
        self._free = free
        self._jobs: dict[str, tuple[str, int]] = {}

    async def check(self, member: str) -> None:
        """Raises StorageFull where nothing new of this member is taken now."""
        if await asyncio.to_thread(self._free, self._folder) < self._floor_bytes:
            raise StorageFull(reason="disk")
        if self.used(member) >= self._member_bytes:
            raise StorageFull(reason="member")
        if self.used() >= self._all_bytes:
            raise StorageFull(reason="disk")

    def used(self, member: str | None = None) -> int:
        """Bytes of unpaid pictures, of one member or of all."""
        return sum(n_bytes for owner, n_bytes in self._jobs.values() if member in (None, owner))

    def count(self, job_id: str, member: str, n_bytes: int) -> None:
        """This job's pictures take so much, until it is paid for or over."""
        self._jobs[job_id] = (member, n_bytes)

    def forget(self, job_id: str) -> None:
        """The job is paid for, or its files are gone."""
        self._jobs.pop(job_id, None)
