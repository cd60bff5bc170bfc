"""The workspaces that installed the app, and their tokens: in memory for lookups before an acknowledgement, and stored.

Tokens are kept through `AppState`, which encrypts them, until the app is removed. One workspace by a configured
token, and any number by OAuth, org-wide installs included. Rotating tokens are renewed ahead of time, by one process at
a time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from adapters.slack.outbound.errors import SlackUnavailable
from core.ports import AppState, Clock, TypedState

log = structlog.get_logger(__name__)

AREA = "slack.install"
TURN_AREA = "slack.rotate"
RENEW_BEFORE_S = 7200.0
"""Access tokens are valid for 12 h (docs: token rotation, read 2026-11-22)."""
ROTATION_TURN_S = 30.0
OPENING_WAIT_S = 30.0

Renew = Callable[["Install"], Awaitable["Install | None"]]


@dataclass(frozen=True, slots=True)
class Install:
    team_id: str
    enterprise_id: str
    bot_token: str = field(repr=False)
    bot_user_id: str = ""
    refresh_token: str = field(default="", repr=False)
    expires_at: float | None = None
    name: str = ""
    installed_at: float = 0.0

    @property
    def key(self) -> str:
        """The workspace's id, or the org's for an org-wide install."""
        return self.team_id or self.enterprise_id

    def renewal_due(self, now: float) -> bool:
        return bool(self.refresh_token) and self.expires_at is not None and now > self.expires_at - RENEW_BEFORE_S


@dataclass(slots=True)
class Installations:
    """All installations known to this process, looked up by workspace, then by its org."""

    _state: AppState
    _clock: Clock
    renew: Renew | None = None
    _known: dict[str, Install] = field(default_factory=dict)
    _fixed: set[str] = field(default_factory=set)
    _org_of: dict[str, str] = field(default_factory=dict)
    _loaded: asyncio.Event = field(default_factory=asyncio.Event)
    _stored: TypedState[Install] = field(init=False)

    def __post_init__(self) -> None:
        self._stored = TypedState(self._state, AREA, Install)

    async def load(self) -> None:
        """Read all stored installations, so that no request waits for that. Lookups wait for `mark_loaded`."""
        self._known.update(await self._stored.items())

    def mark_loaded(self) -> None:
        """Let lookups begin: all stored installations and the configured token are known."""
        self._loaded.set()

    def teams_of(self, key: str) -> list[str]:
        """The workspaces seen so far in an org; a workspace's own key for itself."""
        return [team for team, org in self._org_of.items() if org == key] or [key]

    def add_fixed(self, install: Install) -> None:
        """Add the workspace of the configured token, which is never stored."""
        self._known[install.key] = install
        self._fixed.add(install.key)

    def cached(self, team_id: str, enterprise_id: str = "") -> Install | None:
        """Look up in memory only, for use before an acknowledgement."""
        if team_id and enterprise_id:
            self._org_of[team_id] = enterprise_id
        org = enterprise_id or self._org_of.get(team_id, "")
        return self._known.get(team_id) or (self._known.get(org) if org else None)

    async def find(self, team_id: str, enterprise_id: str = "") -> Install | None:
        """Look up in memory, then in the store (another replica may have added it), and renew the token if due.

        Raises SlackUnavailable if this process has not loaded its installations in time.
        """
        try:
            async with asyncio.timeout(OPENING_WAIT_S):
                await self._loaded.wait()
        except TimeoutError:
            raise SlackUnavailable("starting") from None
        install = self.cached(team_id, enterprise_id)
        if install is None:
            for key in filter(None, (team_id, enterprise_id or self._org_of.get(team_id, ""))):
                if install := await self._stored.get(key):
                    self._known[key] = install
                    break
        return install and await self.ensure_renewed(install)

    async def latest(self, install: Install) -> Install:
        """The installation as another process may have stored it: the app was removed and installed again."""
        stored = None if install.key in self._fixed else await self._stored.get(install.key)
        return self._remember(stored) if stored is not None else install

    async def save(self, install: Install) -> None:
        self._known[install.key] = install
        await self._stored.put(install.key, install)

    async def forget(self, key: str) -> None:
        self._known.pop(key, None)
        await self._stored.delete(key)

    def is_fixed(self, key: str) -> bool:
        return key in self._fixed

    def all(self) -> list[Install]:
        return list(self._known.values())

    async def ensure_renewed(self, install: Install, *, force: bool = False) -> Install:
        """Renew the token, or wait for the process that is renewing it. Returns the old one if that fails.

        A refresh token works once, so only one process may use it.
        """
        if self.renew is None or not install.refresh_token or install.key in self._fixed:
            return install
        if not force and not install.renewal_due(self._clock.now()):
            return install
        if await self._state.claim(TURN_AREA, install.key, ttl_s=ROTATION_TURN_S):
            stored = await self.latest(install)
            if stored.refresh_token != install.refresh_token:
                return stored
            fresh = await self.renew(install)
            if fresh is not None:
                await self.save(fresh)
                log.info("slack_token_renewed", workspace=install.key)
                return fresh
            return install
        return await self._from_other(install)

    async def _from_other(self, install: Install) -> Install:
        """Return what another process stores; wait for that only if the old token has expired."""
        for _ in range(20):
            stored = await self.latest(install)
            if stored.bot_token != install.bot_token:
                return stored
            if install.expires_at is not None and self._clock.now() < install.expires_at:
                return install
            await asyncio.sleep(0.25)
        return install

    def _remember(self, install: Install) -> Install:
        self._known[install.key] = install
        return install
