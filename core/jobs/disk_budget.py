"""Limits on the disk space that images take: per member and in total.

Counted from the files on disk, so a restart loses nothing. Images of jobs that are not paid for have a smaller limit of
their own. An upload counts for its member once it is accepted; after a restart, an upload without a job's folder counts
only in the total.
"""

import asyncio
import contextlib
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.domain.errors import StorageFull
from core.domain.job import Requester
from core.jobs.admission import Share

_BATCH = 500


@dataclass(frozen=True, slots=True)
class DiskShares:
    """In bytes. `free` stays unused, since running jobs still need space for their results."""

    unpaid_member: int = 500_000_000
    unpaid_all: int = 10_000_000_000
    member: int = 5_000_000_000
    all: int = 50_000_000_000
    free: int = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Entry:
    member: str
    n_bytes: int
    paid: bool


OwnersOf = Callable[[Sequence[str]], Awaitable[Mapping[str, tuple[Requester, bool]]]]
"""The requesters of these jobs, and whether the jobs are paid for."""


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk of `folder`, which need not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


class DiskBudget:
    """`folder` holds the jobs' folders, each below the first two letters of the job's id."""

    def __init__(
        self, folder: Path, shares: DiskShares, owners_of: OwnersOf, *, free: Callable[[Path], int] = free_bytes
    ) -> None:
        self._folder = folder
        self._shares = shares
        self._owners_of = owners_of
        self._free = free
        self._jobs: dict[str, _Entry] = {}
        self._all: Counter[str | None] = Counter()
        self._unpaid: Counter[str | None] = Counter()
        self._scanned = False
        self._scanning = asyncio.Lock()

    async def check(self, member: str) -> None:
        """Raises StorageFull if nothing new of this member is accepted at the moment."""
        if not self._scanned:
            await self.scan()
        shares = self._shares
        if self._free(self._folder) < shares.free:
            raise StorageFull(reason="disk")
        if self.unpaid(member) >= shares.unpaid_member:
            raise StorageFull(reason="member")
        if self.taken(member) >= shares.member:
            raise StorageFull(reason="kept")
        if self.unpaid() >= shares.unpaid_all or self.taken() >= shares.all:
            raise StorageFull(reason="disk")

    def may_keep(self, member: str, n_bytes: int) -> bool:
        """Whether the upload of a job that ended unpaid may stay for a repeat: within half of the limits."""
        shares = self._shares
        kept = self.unpaid(member) + n_bytes <= shares.unpaid_member / 2
        return kept and self.unpaid() + n_bytes <= shares.unpaid_all / 2

    def unpaid(self, member: str | None = None) -> int:
        """Bytes of images that are not paid for, of one member or of all."""
        return self._unpaid[member]

    def taken(self, member: str | None = None) -> int:
        """Bytes of all images, of one member or of all."""
        return self._all[member]

    def count(self, name: str, member: str, n_bytes: int, *, paid: bool = False) -> None:
        """Count a job's images, named by its id, or an upload outside of job folders, named by its path."""
        self._put(name, _Entry(member, n_bytes, paid))

    def paid(self, job_id: str) -> None:
        """Count the job's images as paid, once its money is held."""
        if job_id in self._jobs:
            self._put(job_id, replace(self._jobs[job_id], paid=True))

    def forget(self, name: str) -> None:
        """Stop counting the job's images, or the upload."""
        self._put(name, None)

    def _put(self, name: str, new: _Entry | None) -> None:
        """Replace the entry and keep the sums, which every request reads."""
        for one, sign in ((self._jobs.pop(name, None), -1), (new, 1)):
            if one is not None:
                for member in (one.member, None):
                    self._all[member] += sign * one.n_bytes
                    self._unpaid[member] += sign * one.n_bytes * (not one.paid)
        if new is not None:
            self._jobs[name] = new

    async def scan(self) -> None:
        """Recount the files on disk. Entries that are added meanwhile stay."""
        async with self._scanning:
            before = set(self._jobs)
            sizes = await asyncio.to_thread(_sizes, self._folder)
            found: dict[str, _Entry] = {}
            names = sorted(sizes)
            for start in range(0, len(names), _BATCH):
                batch = names[start : start + _BATCH]
                owners = await self._owners_of(batch)
                for name in batch:
                    owner, paid = owners.get(name, (None, True))
                    found[name] = _Entry(Share.of(owner).member if owner is not None else "", sizes[name], paid)
            uploads = await asyncio.to_thread(_uploads, self._folder.parent / "uploads")
            unowned = _Entry("", 0, paid=False)
            found |= {name: replace(self._jobs.get(name, unowned), n_bytes=uploads[name]) for name in uploads}
            new = found | {name: taken for name, taken in self._jobs.items() if name not in before}
            self._jobs, self._all, self._unpaid = {}, Counter(), Counter()
            for name, taken in new.items():
                self._put(name, taken)
            self._scanned = True


def _uploads(folder: Path) -> dict[str, int]:
    """Bytes of each upload that has no hard link in a job's folder."""
    sizes: dict[str, int] = {}
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):
            stat = path.stat()
            if stat.st_nlink == 1:
                sizes[f"uploads/{path.name}"] = stat.st_size
    return sizes


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of each job's folder; files deleted meanwhile count nothing."""
    sizes: dict[str, int] = {}
    for path in folder.glob("*/*"):
        n_bytes = 0
        for file in path.rglob("*"):
            with contextlib.suppress(OSError):
                n_bytes += file.stat().st_size if file.is_file() else 0
        if n_bytes:
            sizes[path.name] = n_bytes
    return sizes
