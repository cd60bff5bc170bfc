"""Fixtures: the real adapter with the real slack-bolt, against the emulator, over a fake service."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from adapters.slack.adapter import SlackAdapter
from adapters.slack.connection.socket_mode import SocketTimeouts
from adapters.slack.outbound import rate_limit
from adapters.slack.outbound.streaming import StreamSupport
from adapters.slack.settings import Settings
from adapters.slack.setup.manifest import BOT_SCOPES, OPTIONAL_SCOPES
from core.accounts.allowlist import AllowList
from core.ports import AdapterContext
from tests.adapters.slack.fake_service import FakeService
from tests.emulators.slack import Message, SlackEmulator, text_of
from tests.emulators.slack.wire import METHODS
from tests.fakes.media import FakeMedia, png
from tests.fakes.service import context_of
from tests.fakes.state import MemoryState
from tests.served import served

BETA = "T0BETA00002"
TIMES = SocketTimeouts(look_every_s=0.05, close_s=0.3, first_pause_s=0.05)
"""A socket is lost after seconds, as by itself: this process may be held up by others."""


@dataclass
class World:
    """One bot process against one emulated Slack."""

    slack: SlackEmulator
    service: FakeService
    state: MemoryState
    media: FakeMedia
    adapter: SlackAdapter
    context: AdapterContext
    settings: Settings
    serving: asyncio.Task[None] | None = None
    life: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        self.ready.clear()
        self.service.adapter = self.adapter
        if self.adapter.routes():
            await self._http()
        self.serving = asyncio.create_task(self.adapter.serve(self.ready.set))
        waiting = asyncio.create_task(self.ready.wait())
        await asyncio.wait({waiting, self.serving}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            await self.serving

    async def _http(self) -> None:
        app = web.Application()
        app.add_routes(self.adapter.routes())
        self.base_url = await self.life.enter_async_context(served(app))
        if not self.settings.socket_mode:
            self.slack.http_target = f"{self.base_url}/slack/events"

    async def stop(self) -> None:
        if self.serving is not None:
            self.serving.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self.serving
        self.serving = None
        await self.life.aclose()

    async def restart(self) -> None:
        """Kill the process and start another one with the same stores."""
        await self.service.crash()
        await self.stop()
        self.adapter = SlackAdapter(self.settings, self.context, times=TIMES)
        await self.start()
        for job_id, row in self.service.rows.items():
            if not row.job.state.terminal:
                self.service.carry_on(job_id)

    # ------------------------------------------------------------------------ helpers

    def grant_history(self) -> None:
        """Grant the optional history scope, so that lost messages can be found and streams are used."""
        next(t for t in self.slack.world.tokens.values() if t.kind != "app").scopes |= {"channels:history"}

    def picture(self, name: str = "photo.png", **how: Any) -> Any:
        return self.slack.member.file(png(64, 48), name, **how)

    async def upscaled(self, words: str = "") -> Message:
        """Request a result in the channel, and return its message."""
        await self.slack.member.mention(words, [self.picture()])
        return await self.result()

    async def held(self, stage: str, words: str = "") -> None:
        """Request a result in the channel; its job stops at this stage."""
        self.service.hold_at = stage
        await self.slack.member.mention(words, [self.picture()])
        await self.until(lambda: self.stage() == stage, move=0.05)

    async def until(self, true: Callable[[], Any], *, timeout_s: float = 30.0, move: float = 0.0) -> Any:
        """Wait until `true()` holds; `move` advances the clock by so many seconds at each check."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            if found := true():
                return found
            if loop.time() > deadline:
                raise AssertionError(f"never true; messages: {[text_of(m) for m in self.slack.member.messages()]}")
            if move:
                self.slack.clock.advance(move)
            await asyncio.sleep(0.02)

    def told(self) -> list[Message]:
        """The bot's messages in the channel and directly to the member."""
        return [m for m in (*self.bot_messages(), *self.slack.member.dms()) if m.bot]

    def results(self, channel: str = "general", **who: Any) -> list[Message]:
        found = self.slack.member.messages(channel, **who)
        return [m for m in found if m.bot and "job:again:" in str(m.blocks)]

    async def result(self, channel: str = "general", *, number: int = 1, **who: Any) -> Message:
        """The n-th result in a channel, once its job and all follow-up work have ended."""
        await self.until(lambda: len(self.results(channel, **who)) >= number, move=0.2)
        await self.idle()
        return self.results(channel, **who)[number - 1]

    async def idle(self) -> None:
        """Whether no job runs."""
        await self.until(lambda: all(r.task is None or r.task.done() for r in self.service.rows.values()), move=0.2)

    def stage(self) -> str:
        """The stage of the first job; empty while there is none."""
        rows = list(self.service.rows.values())
        progress = rows[0].job.progress if rows else None
        return progress.stage if progress else ""

    def bot_messages(self, channel: str = "general", **who: Any) -> list[Message]:
        return [m for m in self.slack.member.messages(channel, **who) if m.bot]


def make_settings(slack: SlackEmulator, **changes: Any) -> Settings:
    values = {
        "slack_bot_token": "xoxb-acme-bot-token",
        "slack_app_token": slack.app_token,
        "slack_api_url": slack.api_url,
        "slack_authorize_url": f"{slack.base_url}/oauth/v2/authorize",
        "slack_sockets": 1,
    }
    return Settings.model_validate({k: v for k, v in (values | changes).items() if v is not None})


def make_world(
    slack: SlackEmulator,
    folder: Path,
    public_url: str | None = None,
    *,
    allowlist: AllowList | None = None,
    **changes: Any,
) -> World:
    clock = slack.clock
    core, state, media = FakeService(clock, folder), MemoryState(clock), FakeMedia(folder)
    settings = make_settings(slack, **changes)
    hosts = tuple(slack.file_hosts)
    context = context_of(core, media, state, public_url, trusted_file_hosts=hosts, allowlist=allowlist)
    adapter = SlackAdapter(settings, context, times=TIMES)
    return World(slack, core, state, media, adapter, context, settings)


@pytest.fixture
async def slack() -> AsyncIterator[SlackEmulator]:
    """The emulator; at the end, no call may have broken a rule that Slack does not enforce with an error."""
    async with SlackEmulator(processing_s=0.03) as emulator:
        yield emulator
    assert emulator.violations == []


@pytest.fixture
async def world(slack: SlackEmulator, tmp_path: Path) -> AsyncIterator[World]:
    """A connected bot in one workspace, in Socket Mode."""
    made = make_world(slack, tmp_path)
    await made.start()
    yield made
    await made.service.crash()
    await made.stop()


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch, world: World) -> World:
    """Lift the rate limits, and try streams even after one was refused."""

    async def always(*_: Any) -> bool:
        return True

    monkeypatch.setattr(rate_limit, "PER_MINUTE", dict.fromkeys(METHODS["methods"], 10**6))
    monkeypatch.setattr(StreamSupport, "allowed", always)
    world.slack.limits.enabled = False
    world.grant_history()
    return world


@pytest.fixture
async def many(slack: SlackEmulator, tmp_path: Path) -> AsyncIterator[World]:
    """Two workspaces without the app; OAuth only."""
    slack.world.tokens.pop("xoxb-acme-bot-token")
    slack.world.add_workspace(BETA, "Beta", token=None)
    made = make_world(
        slack,
        tmp_path,
        slack_bot_token=None,
        slack_client_id=slack.client_id,
        slack_client_secret=slack.client_secret,
    )
    await made.start()
    slack.redirect_uri = f"{made.base_url}/slack/oauth_redirect"
    yield made
    await made.service.crash()
    await made.stop()


async def install(world: World, team: str, *, org: bool = False, steal_state: bool = False) -> aiohttp.ClientResponse:
    """Install as a browser does: the install page, Slack's consent, the redirect back."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        async with browser.get(f"{world.base_url}/slack/install", allow_redirects=False) as first:
            target = URL(first.headers["Location"])
            assert target.query["scope"].split(",") == [*BOT_SCOPES, *OPTIONAL_SCOPES]
            cookie = first.cookies["slack-install-state"]
            assert cookie["httponly"]
        consent = target.update_query(team=team, org="1" if org else "0")
        async with browser.get(consent, allow_redirects=False) as second:
            back = URL(second.headers["Location"])
        if steal_state:
            browser.cookie_jar.clear()
        async with browser.get(back) as third:
            page = await third.read()
        if third.status == 200:
            async with browser.get(back) as reloaded:
                assert await reloaded.read() == page
        return third
