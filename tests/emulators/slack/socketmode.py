"""Socket Mode, Slack's side: tickets, hello, envelopes and acks, warnings, refusals, a close nobody answers."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from tests.emulators.slack.keys import EMULATOR

if TYPE_CHECKING:
    from tests.emulators.slack.server import SlackEmulator

MAX_CONNECTIONS = 10
ACK_TIMEOUT_S = 3.0


@dataclass(eq=False)
class Connection:
    ws: web.WebSocketResponse
    number: int
    acks: list[dict[str, Any]] = field(default_factory=list)
    leaving: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)


class SocketServer:
    """The other end of every WebSocket of the app."""

    def __init__(self, emulator: SlackEmulator) -> None:
        self._emulator = emulator
        self._tickets: set[str] = set()
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._turn = 0
        self._count = 0
        self.connections: list[Connection] = []
        self.refuse_handshakes = 0
        self.refused = 0
        self.mute_close = False
        self.frozen = False

    def new_url(self) -> str:
        ticket = secrets.token_hex(12)
        self._tickets.add(ticket)
        return f"{self._emulator.base_url.replace('http', 'ws', 1)}/link/?ticket={ticket}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.refuse_handshakes > 0:
            self.refuse_handshakes -= 1
            self.refused += 1
            return web.Response(status=403, text="handshake refused")
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            self.refused += 1
            return web.Response(status=404, text="no such ticket")
        self._tickets.discard(ticket)
        ws = web.WebSocketResponse(autoclose=False, autoping=False, timeout=1.0)
        await ws.prepare(request)
        self._count += 1
        connection = Connection(ws, self._count)
        self.connections.append(connection)
        try:
            await self._hello(connection)
            await self._read(connection)
        finally:
            if connection in self.connections:
                self.connections.remove(connection)
            connection.done.set()
        return ws

    async def _hello(self, connection: Connection) -> None:
        hello = {
            "type": "hello",
            "num_connections": len(self.connections),
            "debug_info": {"host": "applink-emulated", "approximate_connection_time": 18060},
            "connection_info": {"app_id": self._emulator.world.app_id},
        }
        await connection.ws.send_str(json.dumps(hello))
        if len(self.connections) > MAX_CONNECTIONS:
            await self._goodbye(connection, "too_many_websockets")

    async def _read(self, connection: Connection) -> None:
        async for message in connection.ws:
            if message.type == WSMsgType.PING:
                if not self.frozen:
                    await connection.ws.pong(message.data)
            elif message.type == WSMsgType.TEXT:
                self._acked(connection, json.loads(message.data))
            elif message.type in (WSMsgType.CLOSE, WSMsgType.ERROR):
                break
        if self.mute_close:
            # Slack often leaves the close frame unanswered; the client waits for its own timeout.
            await asyncio.sleep(15)
        elif not connection.ws.closed:
            await connection.ws.close()

    def _acked(self, connection: Connection, ack: dict[str, Any]) -> None:
        connection.acks.append(ack)
        unknown = set(ack) - {"envelope_id", "payload"}
        if unknown:
            self._emulator.violations.append(f"socket ack with {sorted(unknown)}")
        waiting = self._waiting.pop(str(ack.get("envelope_id")), None)
        if waiting and not waiting.done():
            waiting.set_result(ack.get("payload") or {})

    async def deliver(
        self, kind: str, payload: dict[str, Any], *, accepts: bool, attempt: int, reason: str
    ) -> dict[str, Any] | None:
        """Hand one payload to one of the open sockets; the ack's payload, or None after 3 s of silence."""
        open_ones = [c for c in self.connections if not c.leaving and not c.ws.closed]
        if not open_ones:
            return None
        self._turn += 1
        connection = open_ones[self._turn % len(open_ones)]
        envelope_id = secrets.token_hex(16)
        envelope: dict[str, Any] = {
            "envelope_id": envelope_id,
            "type": kind,
            "payload": payload,
            "accepts_response_payload": accepts,
        }
        if kind == "events_api":
            envelope |= {"retry_attempt": attempt, "retry_reason": reason}
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[envelope_id] = future
        try:
            await connection.ws.send_str(json.dumps(envelope))
            return await asyncio.wait_for(future, ACK_TIMEOUT_S)
        except (TimeoutError, ConnectionError):
            return None
        finally:
            self._waiting.pop(envelope_id, None)

    async def warn(self, reason: str = "warning") -> None:
        """Tell every open socket to go; Slack closes them itself ten seconds later, here when they left."""
        for connection in list(self.connections):
            await self._goodbye(connection, reason)

    async def _goodbye(self, connection: Connection, reason: str) -> None:
        connection.leaving = True
        frame = {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-emulated"}}
        await connection.ws.send_str(json.dumps(frame))

    async def drop(self) -> None:
        """Cut every connection without a close frame, as a lost network does."""
        for connection in list(self.connections):
            transport = connection.ws._req.transport if connection.ws._req else None
            if transport:
                transport.abort()
            self.connections.remove(connection)


async def handle_link(request: web.Request) -> web.StreamResponse:
    return await request.app[EMULATOR].socket.handle(request)
