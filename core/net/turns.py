"""Limit how many things start in one iteration of the event loop, round-robin by client.

A client that starts many things delays its own, not those of others.
"""

import asyncio
from collections import deque
from collections.abc import Callable

PER_ITERATION = 4
"""Each takes about half a millisecond, so a client with few requests waits only some milliseconds."""


class Turns:
    """Belongs to one event loop."""

    def __init__(self, per_iteration: int = PER_ITERATION) -> None:
        self._per_iteration = per_iteration
        self._left = per_iteration
        self._waiting: dict[str, deque[Callable[[], None]]] = {}

    def add(self, client: str, begin: Callable[[], None]) -> None:
        """Call `begin` when it is this client's turn: immediately while few things started in this iteration."""
        if self._left == self._per_iteration:
            asyncio.get_running_loop().call_soon(self._next)
        if self._left and not self._waiting:
            self._left -= 1
            begin()
        else:
            self._waiting.setdefault(client, deque()).append(begin)

    async def wait(self, client: str) -> None:
        turn = asyncio.Event()
        self.add(client, turn.set)
        await turn.wait()

    def _next(self) -> None:
        self._left = self._per_iteration
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
        while self._waiting and self._left:
            client = next(iter(self._waiting))
            waiting = self._waiting.pop(client)
            begin = waiting.popleft()
            if waiting:
                self._waiting[client] = waiting  # behind the others
            self._left -= 1
            begin()
