"""Room on this machine's disk for pictures: per member, in all, and never the last of it.

Counted from what lies there, so that a restart forgets nothing: pictures nobody has paid for yet have a smaller share
of their own, paid results count until they are deleted. An upload counts as its job's from the moment it is accepted;
after a restart, one without a job's folder counts for nobody in particular.
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

_ASKED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class DiskShares:
    """Bytes. `free` is left in any case: what runs still needs room for its result."""

    unpaid_member: int = 500_000_000
    unpaid_all: int = 10_000_000_000
    member: int = 5_000_000_000
    all: int = 50_000_000_000
    free: int = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Taken:
    member: str
    n_bytes: int
    paid: bool


OwnersOf = Callable[[Sequence[str]], Awaitable[Mapping[str, tuple[Requester, bool]]]]
"""Who asked for these jobs, and whether they are paid for."""


def free_bytes(folder: Path) -> int:
    """What the disk under `folder` has left; the nearest folder above where it does not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


class DiskBudget:
    """Whether something new may be fetched. `folder` holds each job's, below the first two letters of its id."""

    def __init__(
        self, folder: Path, shares: DiskShares, owners_of: OwnersOf, *, free: Callable[[Path], int] = free_bytes
    ) -> None:
        self._folder = folder
        self._shares = shares
        self._owners_of = owners_of
        self._free = free
        self._jobs: dict[str, _Taken] = {}
        self._all: Counter[str | None] = Counter()
        self._unpaid: Counter[str | None] = Counter()
        self._scanned = False
        self._scanning = asyncio.Lock()

    async def check(self, member: str) -> None:
        """Raises StorageFull where nothing new of this member is taken now."""
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
        """Whether an upload may stay for a repeat although its job ended unpaid: within half of the member's share."""
        shares = self._shares
        kept = self.unpaid(member) + n_bytes <= shares.unpaid_member / 2
        return kept and self.unpaid() + n_bytes <= shares.unpaid_all / 2

    def unpaid(self, member: str | None = None) -> int:
        """Bytes of pictures that nobody has paid for, of one member or of all."""
        return self._unpaid[member]

    def taken(self, member: str | None = None) -> int:
        """Bytes of all pictures, of one member or of all."""
        return self._all[member]

    def count(self, name: str, member: str, n_bytes: int, *, paid: bool = False) -> None:
        """A job's pictures, by its id, or an upload that no job's folder shares, by its path."""
        self._put(name, _Taken(member, n_bytes, paid))

    def paid(self, job_id: str) -> None:
        """The job's money is held: its pictures no longer count as unpaid."""
        if job_id in self._jobs:
            self._put(job_id, replace(self._jobs[job_id], paid=True))

    def forget(self, name: str) -> None:
        """The job's files, or the upload, are gone."""
        self._put(name, None)

    def _put(self, name: str, new: _Taken | None) -> None:
        """Asked for at every request, the sums are kept rather than made."""
        for one, sign in ((self._jobs.pop(name, None), -1), (new, 1)):
            if one is not None:
                for whose in (one.member, None):
                    self._all[whose] += sign * one.n_bytes
                    self._unpaid[whose] += sign * one.n_bytes * (not one.paid)
        if new is not None:
            self._jobs[name] = new

    async def scan(self) -> None:
        """Count anew what lies on the disk, whoever put it there; what is fetched meanwhile stays counted."""
        async with self._scanning:
            before = set(self._jobs)
            sizes = await asyncio.to_thread(_sizes, self._folder)
            found: dict[str, _Taken] = {}
            names = sorted(sizes)
            for start in range(0, len(names), _ASKED_AT_ONCE):
                some = names[start : start + _ASKED_AT_ONCE]
                owners = await self._owners_of(some)
                for name in some:
                    who, paid = owners.get(name, (None, True))
                    found[name] = _Taken(Share.of(who).member if who is not None else "", sizes[name], paid)
            uploads = await asyncio.to_thread(_uploads, self._folder.parent / "uploads")
            nobodys = _Taken("", 0, paid=False)
            found |= {name: replace(self._jobs.get(name, nobodys), n_bytes=uploads[name]) for name in uploads}
            new = found | {name: taken for name, taken in self._jobs.items() if name not in before}
            self._jobs, self._all, self._unpaid = {}, Counter(), Counter()
            for name, taken in new.items():
                self._put(name, taken)
            self._scanned = True


def _uploads(folder: Path) -> dict[str, int]:
    """Bytes of each upload that no job's folder shares."""
    sizes: dict[str, int] = {}
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):
            stat = path.stat()
            if stat.st_nlink == 1:
                sizes[f"uploads/{path.name}"] = stat.st_size
    return sizes


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of each job's folder; what vanishes meanwhile counts nothing."""
    sizes: dict[str, int] = {}
    for path in folder.glob("*/*"):
        n_bytes = 0
        for file in path.rglob("*"):
            try:
                n_bytes += file.stat().st_size if file.is_file() else 0
            except OSError:
                continue
        if n_bytes:
            sizes[path.name] = n_bytes
    return sizes
