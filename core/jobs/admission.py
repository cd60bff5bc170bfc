"""Fair queues for downloads, image work and uploads, shared between members and workspaces.

No member and no workspace can hold all slots. A queue belongs to one event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from core.domain.errors import TooManyWaiting
from core.domain.identity import person_id
from core.domain.job import Requester

UNPRICED_PER_MEMBER = 4
_REMEMBERED = 4096
"""Members and workspaces whose last turn is remembered; a forgotten one counts as new."""


@dataclass(frozen=True, slots=True)
class Share:
    """The member and workspace that work counts against; no workspace in direct messages."""

    member: str
    workspace: str = ""

    @classmethod
    def of(cls, actor: Requester) -> Share:
        """A person is the same member in every workspace."""
        workspace = f"{actor.platform}:{actor.workspace_id}" if actor.workspace_id else ""
        return cls(f"{actor.platform}:{person_id(actor)}", workspace)


@dataclass(slots=True, eq=False)
class _Waiter:
    number: int
    granted: asyncio.Future[None]


@dataclass(slots=True)
class _Holders:
    """The slots that each member or workspace holds, at most `most`, and the number of its last turn."""

    most: int | None
    held: Counter[str] = field(default_factory=Counter)
    last: dict[str, int] = field(default_factory=dict)

    def may(self, name: str) -> bool:
        return not name or self.most is None or self.held[name] < self.most

    def hold(self, name: str, number: int) -> None:
        if name:
            self.held[name] += 1
            self.last.pop(name, None)
            self.last[name] = number
            if len(self.last) > _REMEMBERED:
                del self.last[next(iter(self.last))]

    def release(self, name: str) -> None:
        if name:
            self.held[name] -= 1
            if self.held[name] <= 0:
                del self.held[name]


class FairQueue:
    """At most `slots` holders (None: unlimited), `per_member` of one member and `per_workspace` of one workspace.

    A free slot goes to the member with the fewest slots; ties are broken by the fewest slots of the workspace, then by
    the oldest last turn of the member, then of the workspace. A member's waiter beyond `most_waiting` is refused.
    """

    def __init__(
        self, slots: int | None, *, per_member: int, per_workspace: int | None = None, most_waiting: int = 1000
    ) -> None:
        self.held = 0
        self._slots = slots
        self._most_waiting = most_waiting
        self._members = _Holders(per_member)
        self._workspaces = _Holders(per_workspace)
        self._waiting: dict[Share, deque[_Waiter]] = {}
        self._number = 0

    @asynccontextmanager
    async def slot(self, share: Share, *, waits: Callable[[int], object] | None = None) -> AsyncIterator[bool]:
        """Hold a slot; yields whether it had to wait; `waits` gets the number of the member's waiters before it.

        Raises TooManyWaiting.
        """
        waited = not self._may(share) or bool(self._waiting.get(share))
        if waited:
            await self._wait(share, waits)
        else:
            self._hold(share)
        try:
            yield waited
        finally:
            self._release(share)

    def waiting(self, member: str | None = None) -> int:
        """The number of waiters of one member, or of all."""
        return sum(len(waiters) for share, waiters in self._waiting.items() if member in (None, share.member))

    def _may(self, share: Share) -> bool:
        free = self._slots is None or self.held < self._slots
        return free and self._members.may(share.member) and self._workspaces.may(share.workspace)

    def _hold(self, share: Share) -> None:
        self._number += 1
        self.held += 1
        self._members.hold(share.member, self._number)
        self._workspaces.hold(share.workspace, self._number)

    async def _wait(self, share: Share, waits: Callable[[int], object] | None) -> None:
        before = self.waiting(share.member)
        if before >= self._most_waiting:
            raise TooManyWaiting(limit=self._most_waiting)
        self._number += 1
        waiter = _Waiter(self._number, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(share, deque()).append(waiter)
        try:
            if waits is not None:
                waits(before)
            await waiter.granted
        except BaseException:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self._release(share)
            else:
                self._forget(share, waiter)
            raise

    def _forget(self, share: Share, waiter: _Waiter) -> None:
        waiters = self._waiting.get(share)
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._waiting[share]

    def _release(self, share: Share) -> None:
        self.held -= 1
        self._members.release(share.member)
        self._workspaces.release(share.workspace)
        self._grant()

    def _grant(self) -> None:
        while able := [share for share in self._waiting if self._may(share)]:
            share = min(able, key=self._rank)
            waiter = self._waiting[share].popleft()
            if not self._waiting[share]:
                del self._waiting[share]
            if not waiter.granted.done():
                self._hold(share)
                waiter.granted.set_result(None)

    def _rank(self, share: Share) -> tuple[int, ...]:
        return (
            self._members.held[share.member],
            self._workspaces.held[share.workspace],
            self._members.last.get(share.member, 0),
            self._workspaces.last.get(share.workspace, 0),
            self._waiting[share][0].number,
        )


class Admission:
    """The queues that a job passes. Downloads mostly wait for other servers, so many run at once."""

    def __init__(self, *, downloads: int = 32, pixels: int = 2, uploads: int = 6) -> None:
        per_member = UNPRICED_PER_MEMBER
        self.unpriced = FairQueue(None, per_member=per_member)
        self.downloads = FairQueue(downloads, per_member=per_member, per_workspace=max(per_member, downloads // 2))
        self.pixels = FairQueue(pixels, per_member=max(1, pixels - 1))
        self.uploads = FairQueue(uploads, per_member=max(1, uploads - 2))
        """For jobs whose price is confirmed; never blocked by downloads."""
