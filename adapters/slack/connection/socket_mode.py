"""Socket Mode: several supervised connections, each rebuilt when the SDK's client cannot reconnect.

The SDK's client retries a refused handshake forever with the same expired address (measured with slack-sdk 3.47), and
its close can take ten seconds because Slack often does not answer the close frame. Both are bounded here.
"""

import asyncio
import contextlib
import functools
from dataclasses import dataclass, field

import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.connection.app import MAX_BODY_BYTES
from adapters.slack.connection.log_redaction import sdk_logger
from core.net.turns import Turns

log = structlog.get_logger(__name__)

MAX_PAUSE_S = 30.0
FRAMES_AT_ONCE = 8
"""Per iteration of the event loop; each takes 0.7 ms until it is acknowledged."""
LARGE_FRAME_CHARS = 8_000
"""Larger frames take several milliseconds each to parse and validate: one per iteration of the event loop."""


@dataclass(frozen=True, slots=True)
class SocketTimeouts:
    """Timeouts and intervals in seconds; tests use shorter ones."""

    connect_s: float = 12.0
    look_every_s: float = 1.0
    lost_after_s: float = 8.0
    close_s: float = 2.0
    ping_s: float = 5.0
    first_pause_s: float = 0.5


@dataclass(frozen=True, slots=True)
class Sockets:
    """Keeps `count` connections open until cancelled."""

    app: AsyncApp
    app_token: str
    client: AsyncWebClient
    count: int
    times: SocketTimeouts
    first_connected: asyncio.Event = field(default_factory=asyncio.Event)
    frame_turns: Turns = field(default_factory=lambda: Turns(FRAMES_AT_ONCE))
    large_frame_turns: Turns = field(default_factory=lambda: Turns(per_iteration=1))
    _open: set[int] = field(default_factory=set)

    @property
    def healthy(self) -> bool:
        return bool(self._open)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self.count):
                group.create_task(self._run_socket(number), name=f"slack-socket-{number}")

    async def _run_socket(self, number: int) -> None:
        """Keep one connection open: build, watch, close, pause, repeat."""
        pause_s = self.times.first_pause_s
        while True:
            handler = self._build(number)
            try:
                if await self._connect(handler):
                    self._open.add(number)
                    self.first_connected.set()
                    pause_s = self.times.first_pause_s
                    await self._watch(handler, number)
            finally:
                self._open.discard(number)
                await self._close(handler)
            log.warning("slack_socket_rebuilt", socket=number, pause_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(MAX_PAUSE_S, pause_s * 2)

    def _build(self, number: int) -> AsyncSocketModeHandler:
        handler = AsyncSocketModeHandler(
            self.app,
            self.app_token,
            logger=sdk_logger("socket"),
            web_client=self.client,
            ping_interval=self.times.ping_s,
        )
        take = functools.partial(self._enqueue, str(number), handler.client.message_queue)
        handler.client.enqueue_message = take  # type: ignore[method-assign]
        return handler

    async def _enqueue(self, socket: str, queue: asyncio.Queue[str], frame: str) -> None:
        """Pass on a few frames per iteration of the event loop.

        Nothing more is read from this socket meanwhile, so a flood of frames waits at the sender. The SDK alone would
        read on and start hundreds of listeners at once.
        """
        if len(frame) > MAX_BODY_BYTES:
            log.warning("slack_frame_too_large", chars=len(frame))
            return
        await self.frame_turns.wait(socket)
        if len(frame) > LARGE_FRAME_CHARS:
            await self.large_frame_turns.wait(socket)
        queue.put_nowait(frame)

    async def _connect(self, handler: AsyncSocketModeHandler) -> bool:
        """Connect within a time limit, which the SDK's connect does not have."""
        try:
            async with asyncio.timeout(self.times.connect_s):
                await handler.connect_async()  # type: ignore[no-untyped-call]
        except TimeoutError:
            return False
        except Exception as error:
            # apps.connections.open refused or unreadable: SlackApiError, and errors that the SDK stumbles over.
            log.warning("slack_socket_refused", kind=type(error).__name__)
            return False
        return True

    async def _watch(self, handler: AsyncSocketModeHandler, number: int) -> None:
        """Return when the client has been disconnected for `lost_after_s`."""
        loop = asyncio.get_running_loop()
        last_seen = loop.time()
        while loop.time() - last_seen < self.times.lost_after_s:
            await asyncio.sleep(self.times.look_every_s)
            if await handler.client.is_connected():
                self._open.add(number)
                last_seen = loop.time()
            else:
                self._open.discard(number)

    async def _close(self, handler: AsyncSocketModeHandler) -> None:
        """Close within a time limit, and cancel the tasks that the client leaves behind."""
        client = handler.client
        client.auto_reconnect_enabled = False
        client.closed = True
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self.times.close_s):
                await handler.close_async()  # type: ignore[no-untyped-call]
        left = [client.message_processor, client.message_receiver, client.current_session_monitor]
        tasks = [task for task in left if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(Exception):
            await client.aiohttp_client_session.close()
