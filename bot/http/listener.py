"""Accept connections immediately and start handling them round-robin by client.

A flood of connections delays other clients only for the time that accepting takes, and silent connections cost almost
nothing.
"""

import asyncio
import contextlib
import errno
import os
import socket
import sys
from collections.abc import Callable, Sequence

import structlog

from bot.http.connections import BoundedHandler, Connections
from bot.http.liveness import MAX_PROBE_BYTES, Liveness
from core.net.turns import Turns

log = structlog.get_logger(__name__)

ACCEPTS_PER_ITERATION = 64
"""Connections accepted in one iteration of the event loop, at about 40 µs each."""
BACKLOG = 4_096
"""The kernel's queue of connections. A client that meets a full queue retries only after a second."""
UNREAD_TIMEOUT_MS = 60_000
_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_NO_ROOM_PAUSE_S = 0.5
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Listener:
    """Accepts on copies of the bound `sockets`. Calls `make` for a connection that has sent something."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        make: Callable[[], BoundedHandler],
        connections: Connections,
        turns: Turns,
        liveness: Liveness,
    ) -> None:
        self.make = make
        self.liveness = liveness
        self.connections = connections
        self.turns = turns
        self.loop = asyncio.get_running_loop()
        self.beginning: set[asyncio.Task[None]] = set()
        self._sockets = [socket.socket(fileno=os.dup(one.fileno())) for one in sockets]
        for one in self._sockets:
            one.setblocking(False)
            one.listen(BACKLOG)
            self.loop.add_reader(one, self._accept, one)

    def close(self) -> None:
        for one in self._sockets:
            self.loop.remove_reader(one)
            one.close()
        self._sockets = []

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_ITERATION):
            try:
                accepted, peer = listening.accept()
            except OSError as error:
                if error.errno in _NO_ROOM:
                    log.warning("http_no_room", error=os.strerror(error.errno))
                    self.loop.remove_reader(listening)
                    self.loop.call_later(_NO_ROOM_PAUSE_S, self._resume, listening)
                return
            accepted.setblocking(False)
            if sys.platform == "linux":  # closes the connection of a client that does not read what it asked for
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_TIMEOUT_MS)
            connection = SilentConnection(self, accepted, self.connections.client(peer[0]))
            if self.connections.add(connection, peer[0]):
                connection.read()
            else:
                connection.refuse()

    def _resume(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            self.loop.add_reader(listening, self._accept, listening)


class SilentConnection:
    """An accepted connection that has sent nothing yet."""

    __slots__ = ("_client", "_deadline", "_listener", "_socket")
    is_waiting = True

    def __init__(self, listener: Listener, accepted: socket.socket, client: str) -> None:
        self._listener = listener
        self._socket = accepted
        self._client = client
        self._deadline: asyncio.TimerHandle | None = None

    def drop(self) -> None:
        self._listener.connections.remove(self)
        self._stop_reading()
        self._socket.close()

    def refuse(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.send(_BUSY)
        self.drop()

    def _stop_reading(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            if self._socket.fileno() >= 0:
                self._listener.loop.remove_reader(self._socket)

    def read(self) -> None:
        """Start handling, when it is the client's turn, if there is data, as there mostly is; else wait for data."""
        try:
            first = self._socket.recv(MAX_PROBE_BYTES, socket.MSG_PEEK)
            probed = self._listener.liveness.answer_to(first)
            if probed is not None:
                self._socket.send(probed)
                self._socket.recv(MAX_PROBE_BYTES)  # closing a socket with unread data may discard what was sent
        except BlockingIOError:
            if self._deadline is None:
                self._deadline = self._listener.loop.call_later(self._listener.connections.header_timeout_s, self.drop)
                self._listener.loop.add_reader(self._socket, self.read)
            return
        except OSError:
            first = b""
        self._stop_reading()
        if not first or probed is not None:
            self.drop()
        else:
            self._listener.turns.add(self._client, self._begin)

    def _begin(self) -> None:
        handler = self._listener.make()
        if self._listener.connections.replace(self, handler):
            task = self._listener.loop.create_task(self._connect(handler), name="http-connection")
            self._listener.beginning.add(task)
            task.add_done_callback(self._listener.beginning.discard)

    async def _connect(self, handler: BoundedHandler) -> None:
        try:
            await self._listener.loop.connect_accepted_socket(lambda: handler, self._socket)
        except OSError:
            self._listener.connections.remove(handler)
            self._socket.close()
