"""Lets only a few things begin in one turn of the event loop, by client in turn: a crowd delays itself, not others."""

import asyncio
from collections import deque
from collections.abc import Callable

AT_ONCE = 4
"""Half a millisecond each, so that whoever asks for little is answered within some milliseconds."""


class Turns:
    """One event loop owns it."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._left = at_once
        self._waiting: dict[str, deque[Callable[[], None]]] = {}

    def add(self, client: str, begin: Callable[[], None]) -> None:
        """Call `begin` when it is this client's turn: at once where few things have begun in this turn of the loop."""
        if self._left == self._at_once:
            asyncio.get_running_loop().call_soon(self._next)
        if self._left and not self._waiting:
            self._left -= 1
            begin()
        else:
            self._waiting.setdefault(client, deque()).append(begin)

    async def wait(self, client: str) -> None:
        """Return when it is this client's turn."""
        come = asyncio.Event()
        self.add(client, come.set)
        await come.wait()

    def _next(self) -> None:
        self._left = self._at_once
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
