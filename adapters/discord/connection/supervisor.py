"""Runs the discord.py client (log in, register commands, connect) and restarts it after failures."""

import asyncio
import random
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import aiohttp
import discord
import structlog
import yarl

from adapters.discord.connection.client import UpscaleClient
from adapters.discord.connection.identify_limiter import IdentifyLimiter, SessionLimits
from adapters.discord.outbound.api_client import ApiClient
from adapters.discord.outbound.delivery_state import PLATFORM
from adapters.discord.settings import DiscordLoginRefused, Settings
from adapters.discord.setup.command_sync import sync_commands
from core.ports import AdapterContext
from core.presentation.texts import operator_texts

log = structlog.get_logger(__name__)

MIN_PAUSE_S, MAX_PAUSE_S = 1.0, 60.0
MAX_REFUSED_PAUSE_S = 120.0
"""After a refusal, which may cost one of a day's 1000 IDENTIFYs."""

HEALTHY_AFTER_S = 60.0
CLOSE_TIMEOUT_S = 3.0
CANCEL_TRIES, CANCEL_WAIT_S = 4, 0.5
NETWORK_ERRORS = (aiohttp.ClientError, OSError, TimeoutError, discord.HTTPException, discord.GatewayNotFound)
REFUSED = (discord.LoginFailure, discord.PrivilegedIntentsRequired, discord.ConnectionClosed)
REFUSALS = {
    4004: "DISCORD_TOKEN",
    4010: "DISCORD_SHARD_IDS",
    4011: "DISCORD_SHARD_COUNT",
    4013: "intents",
    4014: "intents",
}
"""What Discord refuses when it closes the gateway with a code after which the library gives up."""


class ClientSupervisor:
    """`make_client` builds a new client for each start: a closed one cannot be opened again."""

    def __init__(
        self, settings: Settings, context: AdapterContext, rest: ApiClient, make_client: Callable[[], UpscaleClient]
    ) -> None:
        self._settings = settings
        self._context = context
        self._clock = context.clock
        self._rest = rest
        self._make_client = make_client
        self.client: UpscaleClient | None = None
        self.starts = 0
        self.refused = ""
        """What Discord has refused since the last connection, as in REFUSALS."""

    async def run(self, ready: Callable[[], None], *, events: bool = True) -> None:
        """Run until cancelled; restart a client that fails, with exponential backoff.

        Without `events` the client only logs in, for REST calls.
        Raises DiscordLoginRefused when the token is refused at the first start.
        """
        pause_s = MIN_PAUSE_S
        while True:
            began = self._clock.now()
            try:
                await self._run_client(ready, events)
                log.warning("discord_loop_ended")
            except REFUSED as error:
                if isinstance(error, discord.LoginFailure) and self.starts <= 1:
                    raise DiscordLoginRefused(
                        "Discord refuses DISCORD_TOKEN; copy it again from the portal."
                    ) from error
                self.refused = _refused(error)
                notice = partial(operator_texts.connection_refused, PLATFORM, self.refused)
                self._context.operator.tell(f"refused:{PLATFORM}", notice)
            except NETWORK_ERRORS as error:
                log.warning("discord_unreachable", why=type(error).__name__, status=getattr(error, "status", 0))
            except Exception as error:
                # Restart after any failure of the library's loop, such as an event that it cannot parse. The core
                # reports it without local variables, because an event holds a token.
                await self._context.service.incidents.unforeseen("discord", error)
            if self._clock.now() - began > HEALTHY_AFTER_S:
                pause_s = MIN_PAUSE_S
            await self._clock.sleep(pause_s * random.uniform(0.8, 1.2))
            pause_s = min(MAX_REFUSED_PAUSE_S if self.refused else MAX_PAUSE_S, pause_s * 2)

    async def _run_client(self, ready: Callable[[], None], events: bool) -> None:
        self.starts += 1
        discord.http.Route.BASE = self._settings.discord_api_url.rstrip("/")
        client = self._make_client()
        try:
            await client.login(self._settings.token)
            limits = await self._configure_gateway(client) if events else SessionLimits()
            self._rest.set_client(client)
            self.client = client
            if events:
                await self._sync(client)
            if not events or self._settings.discord_public_key is not None:
                self.refused = ""
                ready()
                await asyncio.Event().wait()
            context, app_id = self._context, client.application_id or 0

            async def fetch_limits() -> SessionLimits:
                return SessionLimits.of(await self._fetch_gateway(client))

            client.identify_limiter = IdentifyLimiter(
                context.state, self._clock, app_id, limits, fetch_limits, context.operator
            )
            await self._connect(client)
        finally:
            self._rest.set_client(None)
            self.client = None
            await self._close(client)

    async def _connect(self, client: UpscaleClient) -> None:
        """Connect, and return when the library gives up or this is cancelled.

        The connection runs in its own task and is ended by `close`: the library swallows a cancellation during a
        reconnect, and would then wait for ever (2.7.1, shard.py `reidentify`).
        """
        connection = asyncio.create_task(client.connect(), name="discord-connection")
        try:
            await asyncio.wait({connection})
        finally:
            if not connection.done():
                await self._close(client)
            for _ in range(CANCEL_TRIES):
                if connection.done():
                    break
                connection.cancel()
                await asyncio.wait({connection}, timeout=CANCEL_WAIT_S)
        connection.result()

    async def _configure_gateway(self, client: UpscaleClient) -> SessionLimits:
        """Set the gateway's URL and the shard count from GET /gateway/bot; return the session limits."""
        if self._settings.discord_public_key is not None:
            return SessionLimits()
        found = await self._fetch_gateway(client)
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(found["url"])
        client.shard_count = self._settings.discord_shard_count or found.get("shards") or 1
        return SessionLimits.of(found)

    @staticmethod
    async def _fetch_gateway(client: UpscaleClient) -> dict[str, Any]:
        found: dict[str, Any] = await client.http.request(discord.http.Route("GET", "/gateway/bot"))
        return found

    async def _sync(self, client: UpscaleClient) -> None:
        try:
            await sync_commands(client, self._context.state, self._settings.discord_api_url)
        except NETWORK_ERRORS as error:
            # Old commands keep working; the next start tries again.
            log.error("commands_not_synced", why=type(error).__name__, code=getattr(error, "code", 0))

    @staticmethod
    async def _close(client: UpscaleClient) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await client.close()
        except NETWORK_ERRORS as error:
            log.warning("discord_close_failed", why=type(error).__name__)
        _stop_heartbeats(client)


def _refused(error: Exception) -> str:
    if isinstance(error, discord.ConnectionClosed):
        return REFUSALS.get(error.code, f"code {error.code}")
    return REFUSALS[4004 if isinstance(error, discord.LoginFailure) else 4014]


def _stop_heartbeats(client: UpscaleClient) -> None:
    """Stop the heartbeat threads of sockets that the library abandoned while connecting."""
    for thread in threading.enumerate():
        if isinstance(thread, discord.gateway.KeepAliveHandler) and thread.ws._connection is client._connection:
            thread.stop()
