"""The gateway: HELLO, IDENTIFY with spacing, READY, heartbeats, RESUME with replay, and drops on demand."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from tests.emulators.discord.world import dumps
from tests.typed import unwrap

if TYPE_CHECKING:
    from tests.emulators.discord.server import DiscordEmulator

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, INVALID_SESSION, HELLO, ACK = 0, 1, 2, 6, 7, 9, 10, 11
MAX_EVENTS_KEPT = 10_000


@dataclass
class Session:
    """Outlives its socket, so that a RESUME can replay what it missed."""

    id: str
    shard: tuple[int, int]
    intents: int
    socket: web.WebSocketResponse | None = None
    sequence: int = 0
    events: list[tuple[int, str]] = field(default_factory=list)
    dead: bool = False
    dropped: bool = False

    async def send(self, event: str, data: Any) -> None:
        self.sequence += 1
        frame = dumps({"op": DISPATCH, "t": event, "s": self.sequence, "d": data})
        self.events.append((self.sequence, frame))
        del self.events[:-MAX_EVENTS_KEPT]
        if self.socket is not None and not self.socket.closed:
            try:
                await self.socket.send_str(frame)
            except (ConnectionError, RuntimeError):
                self.socket = None  # It stays in `events`, for the RESUME.


class Gateway:
    def __init__(self, emulator: DiscordEmulator) -> None:
        self.emulator = emulator
        self.url = ""
        self.recommended_shards = 1
        self.max_concurrency = 1
        self.heartbeat_interval_ms = 41_250
        self.identify_spacing_s = 5.0
        self.deliveries = 1
        self.refuse_with: int | None = None
        self.sessions: dict[str, Session] = {}
        self.identifies: list[tuple[float, int]] = []
        self.identifies_a_day = 1000
        self.resumes: list[str] = []
        self.spacing_violations: list[str] = []
        self.received: list[dict[str, Any]] = []
        self._ready = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/gateway-socket", self._serve), web.get("/gateway-socket/", self._serve)]

    @property
    def connected(self) -> list[Session]:
        return [s for s in self.sessions.values() if not s.dead and s.socket is not None and not s.socket.closed]

    async def wait_connected(self, count: int = 1, timeout_s: float = 15.0) -> None:
        async with asyncio.timeout(timeout_s):
            while len(self.connected) < count:
                self._ready.clear()
                await self._ready.wait()

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=4096 * 4)
        await socket.prepare(request)
        await _send(socket, HELLO, {"heartbeat_interval": self.heartbeat_interval_ms, "_trace": []})
        session: Session | None = None
        try:
            async for frame in socket:
                if frame.type is not WSMsgType.TEXT:
                    break
                message = json.loads(frame.data)
                self.received.append(message)
                if message["op"] == HEARTBEAT:
                    await _send(socket, ACK, None)
                elif message["op"] == IDENTIFY:
                    session = await self._identify(socket, message["d"])
                elif message["op"] == RESUME:
                    session = await self._resume(socket, message["d"])
        finally:
            if session is not None and session.socket is socket:
                session.socket = None
                session.dead = session.dead or (socket.close_code in (1000, 1001) and not session.dropped)
                session.dropped = False
        return socket

    async def _identify(self, socket: web.WebSocketResponse, data: dict[str, Any]) -> Session | None:
        if data.get("token") != self.emulator.token:
            await socket.close(code=4004, message=b"Authentication failed.")
            return None
        if self.refuse_with is not None:
            await socket.close(code=self.refuse_with)
            return None
        shard_id, shard_count = data.get("shard") or (0, 1)
        if not self._spaced(shard_id):
            await _send(socket, INVALID_SESSION, False)
            return None
        session = Session(secrets.token_hex(16), (shard_id, shard_count), data["intents"], socket)
        self.sessions[session.id] = session
        world = self.emulator.world
        ready = {
            "v": 10,
            "user": world.bot.data() | {"verified": True, "mfa_enabled": False, "flags": 0},
            "guilds": [
                {"id": str(g.id), "unavailable": True}
                for g in world.guilds.values()
                if g.bot_inside and (g.id >> 22) % shard_count == shard_id
            ],
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": self.url,
            "private_channels": [],
            "relationships": [],
            "user_settings": {},
            "shard": [shard_id, shard_count],
            "application": {"id": str(world.application_id), "flags": 0},
        }
        await session.send("READY", ready)
        self._ready.set()
        self.emulator.changed()
        return session

    def _spaced(self, shard_id: int) -> bool:
        """One IDENTIFY per 5 s for each `shard_id % max_concurrency`."""
        now, key = self.emulator.clock.now(), shard_id % self.max_concurrency
        before = [at for at, shard in self.identifies if shard % self.max_concurrency == key]
        self.identifies.append((now, shard_id))
        # A tenth of slack: the network between two processes is not the bot's doing.
        if before and now - before[-1] < self.identify_spacing_s * 0.9:
            self.spacing_violations.append(f"shard {shard_id} after {now - before[-1]:.2f} s")
            return False
        return True

    async def _resume(self, socket: web.WebSocketResponse, data: dict[str, Any]) -> Session | None:
        session = self.sessions.get(data["session_id"])
        if data.get("token") != self.emulator.token or session is None or session.dead:
            await _send(socket, INVALID_SESSION, False)
            return None
        self.resumes.append(session.id)
        session.socket = socket
        for sequence, frame in list(session.events):
            if sequence > data["seq"]:
                await socket.send_str(frame)
        await session.send("RESUMED", {"_trace": []})
        self._ready.set()
        self.emulator.changed()
        return session

    async def interaction(self, payload: dict[str, Any], guild_id: int | None) -> int:
        """Deliver INTERACTION_CREATE, which needs no intent; how many sessions got it."""
        return await self.dispatch("INTERACTION_CREATE", lambda _: payload, guild_id)

    async def dispatch(
        self, event: str, payload: Callable[[int], dict[str, Any]], guild_id: int | None, intent: int = 0
    ) -> int:
        """Deliver an event to every session of the right shard that has the intent; how many got it.

        `payload` makes it for a session's intents. Sessions without a socket keep it for their RESUME. Without a
        guild it goes to shard 0.
        """
        reached = 0
        for session in list(self.sessions.values()):
            wanted = 0 if guild_id is None else (guild_id >> 22) % session.shard[1]
            if not session.dead and session.shard[0] == wanted and session.intents & intent == intent:
                for _ in range(self.deliveries):
                    await session.send(event, payload(session.intents))
                reached += 1
        return reached

    async def ask_to_reconnect(self) -> None:
        """Op 7, as Discord does before it restarts a gateway node."""
        for session in self.connected:
            assert session.socket is not None
            await _send(session.socket, RECONNECT, None)

    async def drop(self, code: int = 4000) -> None:
        """Close all sockets with a code that allows a RESUME."""
        for session in self.connected:
            session.dropped = True
            await unwrap(session.socket).close(code=code)

    async def close(self) -> None:
        for session in self.connected:
            await unwrap(session.socket).close(code=1001)


async def _send(socket: web.WebSocketResponse, op: int, data: Any) -> None:
    if not socket.closed:
        await socket.send_str(dumps({"op": op, "d": data}))
