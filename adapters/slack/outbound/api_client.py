"""The client of Slack's Web API for all calls after an acknowledgement.

Uses the workspace's token, waits for the rate limiter, retries what is safe to retry, and turns answers into the
exceptions of `errors`. A post that may have succeeded is never repeated.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from adapters.slack.connection.log_redaction import web_client
from adapters.slack.outbound import errors
from adapters.slack.outbound.rate_limit import RateLimiter
from adapters.slack.setup.installations import Install, Installations
from adapters.slack.views.blocks import Content
from core.net.retry import Backoff, retry
from core.ports import Clock

log = structlog.get_logger(__name__)

CALL_TIMEOUT_S = 15.0
RESPONSE_URL_TIMEOUT = aiohttp.ClientTimeout(total=10)
FINAL_WAIT_S = 90.0
PROGRESS_WAIT_S = 7.0
"""Less than the ten seconds that the core allows a progress edit."""
TRIES = 4
FIRST_POLL_S, LONGEST_POLL_S = 0.08, 3.0
EARLY = 0.85
"""A new file is asked about at this share of the time that the last one took, so that a faster Slack is noticed."""
PAGE_SIZE = 200
MAX_PAGES = 5
BACKOFF = Backoff(first_s=0.25)
RATE_LIMIT_DEFAULT_S = 5.0

HISTORY_SCOPES = {"channel": "channels:history", "group": "groups:history", "im": "im:history", "mpim": "mpim:history"}
POSTS = frozenset({"chat.postMessage", "chat.postEphemeral", "chat.startStream", "files.completeUploadExternal"})
"""Methods that are not idempotent: a repeat would post twice."""
AS_JSON = frozenset(
    {"chat.postMessage", "chat.update", "chat.postEphemeral", "chat.startStream", "chat.appendStream",
     "chat.stopStream", "views.open", "views.update", "views.publish", "files.completeUploadExternal"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Team:
    team_id: str
    enterprise_id: str = ""
    member: str = ""
    """The member whose calls these are; the rate limiter shares its turns among members."""


@dataclass(slots=True)
class SlackApi:
    """Calls on behalf of workspaces. `on_revoked` is called after a refusal that suggests that the app was removed."""

    session: aiohttp.ClientSession
    base_url: str
    installs: Installations
    rate_limiter: RateLimiter
    clock: Clock
    on_revoked: Callable[[Install], Awaitable[None]] | None = None
    granted_scopes: dict[str, set[str]] = field(default_factory=dict)
    """The scopes of each workspace's token, from Slack's last answer."""
    processing_s: dict[str, float] = field(default_factory=dict)
    """How long Slack took to process the last file of each workspace."""

    def may_read(self, team: Team, kind: str) -> bool:
        """Whether the bot may read the history of this kind of channel. False before the first answer."""
        return HISTORY_SCOPES.get(kind) in self.granted_scopes.get(team.team_id, ())

    async def install(self, team: Team) -> Install:
        """The workspace's installation, with its token. Raises SlackRevoked if there is none."""
        install = await self.installs.find(team.team_id, team.enterprise_id)
        if install is None:
            raise errors.SlackRevoked("not_installed")
        return install

    async def direct_channel(self, team: Team, user_id: str) -> str:
        """The id of the direct message with a member. Raises SlackError."""
        opened = await self.call(team, "conversations.open", users=user_id)
        return str((opened.get("channel") or {}).get("id") or user_id)

    async def post(
        self, team: Team, channel: str, content: Content, *, thread_ts: str = "", **more: Any
    ) -> dict[str, Any]:
        """Post a message without unfurling links; return Slack's answer. `more` as for `call`. Raises SlackError."""
        args: dict[str, Any] = {"channel": channel, "thread_ts": thread_ts or None, **content.as_args(), **more}
        return await self.call(team, "chat.postMessage", unfurl_links=False, unfurl_media=False, **args)

    async def send_ephemeral(
        self, team: Team, channel: str, user_id: str, content: Content, thread_ts: str = ""
    ) -> bool:
        """Post a message that only one member of a channel sees; False if Slack refuses."""
        origin: dict[str, Any] = {"channel": channel, "user": user_id, "thread_ts": thread_ts or None}
        return not await self.attempt(team, "chat.postEphemeral", **origin, **content.as_args())

    async def respond(self, url: str, content: Content, *, replace: bool = False) -> bool:
        """Answer privately through a `response_url` (five uses in thirty minutes); False if Slack refuses.

        `replace` replaces the message that was acted on instead. Not by bolt's `AsyncRespond`, which opens a new
        connection each time, or the SDK's client, which follows redirects.
        """
        options = {"replace_original": True} if replace else {"response_type": "ephemeral", "replace_original": False}
        body = options | content.as_args()
        try:
            async with self.session.post(url, json=body, timeout=RESPONSE_URL_TIMEOUT, allow_redirects=False) as answer:
                status: int | str = answer.status
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            status = type(error).__name__
        if status != 200:
            log.info("slack_response_url_refused", status=status)
        return status == 200

    async def messages(self, team: Team, method: str, **args: Any) -> AsyncIterator[dict[str, Any]]:
        """Yield a conversation's messages, page by page; `args` as for `call`. Raises SlackError."""
        cursor = ""
        for _ in range(MAX_PAGES):
            page = await self.call(team, method, limit=PAGE_SIZE, cursor=cursor or None, **args)
            for message in page.get("messages") or ():
                yield message
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return

    async def wait_processed(
        self,
        team: Team,
        file_id: str,
        *,
        timeout_s: float,
        shown_in: str = "",
        is_new: bool = False,
        check: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Poll a file's record until Slack has processed the file (and shows it in `shown_in`); return the last one.

        Each record is passed to `check`. Until the file is processed, its address may serve nothing, and a block that
        shows it is refused or broken (python-slack-sdk #1521, read 2026-11-22). A file that `is_new` is first asked
        about when it may be ready: a workspace has a hundred calls a minute for all its files. Raises SlackError.
        """
        begun_at, usual_s = self.clock.now(), self.processing_s.get(team.team_id, FIRST_POLL_S)
        pause_s, waited = usual_s * EARLY, is_new and usual_s > 2 * FIRST_POLL_S
        if waited:
            await self.clock.sleep(pause_s)
            pause_s = usual_s / 4
        while True:
            file = dict((await self.call(team, "files.info", file=file_id)).get("file") or {})
            if check is not None:
                check(file)
            took_s = self.clock.now() - begun_at
            ready = file.get("mimetype") and shown_in in str(file.get("shares"))
            if waited and (ready or took_s > usual_s):
                self.processing_s[team.team_id] = min(took_s, LONGEST_POLL_S)
            if ready or took_s >= timeout_s:
                return file
            pause_s = max(FIRST_POLL_S, min(pause_s, LONGEST_POLL_S))
            await self.clock.sleep(pause_s)
            pause_s, waited = pause_s * 2, True

    async def attempt(self, team: Team, method: str, **args: Any) -> str:
        """Call a method whose failure is no error here, `args` as for `call`; return the failure's code, or ""."""
        try:
            await self.call(team, method, **args)
        except errors.SlackError as error:
            log.info("slack_attempt_failed", method=method, error=error.error)
            return error.error
        return ""

    async def call(
        self,
        team: Team,
        method: str,
        *,
        progress: bool = False,
        max_wait_s: float | None = None,
        since: float | None = None,
        on_sending: Callable[[], None] | None = None,
        before_send: Callable[[], Awaitable[None]] | None = None,
        **args: Any,
    ) -> dict[str, Any]:
        """Call a method, with rate limiting and retries. Raises SlackRefused, SlackRevoked or SlackUnavailable.

        After the wait for the rate limiter, `before_send` is awaited, which may raise to prevent the call; then
        `on_sending` is called, and the request is sent.
        """
        wait_s = max_wait_s if max_wait_s is not None else PROGRESS_WAIT_S if progress else FINAL_WAIT_S
        deadline = self.clock.now() + wait_s
        given = {name: value for name, value in args.items() if value is not None}

        async def once() -> dict[str, Any]:
            how: dict[str, Any] = {"channel": str(given.get("channel", "")), "member": team.member, "since": since}
            left_s = max(0.0, deadline - self.clock.now())
            await self.rate_limiter.wait_turn(team.team_id, method, progress=progress, max_wait_s=left_s, **how)
            if before_send is not None:
                await before_send()
            if on_sending is not None:
                on_sending()
            return await self._attempt(team, method, given)

        def pause_s(error: Exception, attempt: int) -> float | None:
            if isinstance(error, errors.SlackRefused):
                return BACKOFF.pause_s(attempt) if error.error in errors.TRANSIENT and not progress else None
            if not isinstance(error, errors.SlackUnavailable) or (error.may_have_succeeded and method in POSTS):
                return None
            if error.retry_after_s is None:
                return BACKOFF.pause_s(attempt)
            # The rate limiter waits for as long as Slack asked.
            return 0.0 if self.clock.now() + error.retry_after_s <= deadline else None

        return await retry(
            lambda: self._with_fresh_token(team, once), clock=self.clock, pause=pause_s, attempts=TRIES, within_s=wait_s
        )

    async def _with_fresh_token(self, team: Team, once: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """One attempt, and another if there is a newer token. Raises SlackRevoked if access is revoked."""
        try:
            return await once()
        except errors.SlackRefused as refusal:
            if refusal.error not in errors.TOKEN_UNUSABLE | errors.REVOKED:
                raise
            install = self.installs.cached(team.team_id, team.enterprise_id)
            if install is not None:
                expired = refusal.error == errors.TOKEN_EXPIRED
                newest = self.installs.ensure_renewed(install, force=True) if expired else self.installs.latest(install)
                if (await newest).bot_token != install.bot_token:
                    return await once()
            if refusal.error in errors.TOKEN_UNUSABLE:
                raise errors.SlackUnavailable(refusal.error) from None
            if install is not None and self.on_revoked is not None and refusal.error != errors.NO_TOKEN:
                await self.on_revoked(install)
            raise errors.SlackRevoked(refusal.error) from None

    async def _attempt(self, team: Team, method: str, args: dict[str, Any]) -> dict[str, Any]:
        install = await self.install(team)
        if self.session.closed:
            raise errors.SlackUnavailable("closed")
        if not install.team_id:
            args = args | {"team_id": team.team_id}
        client = web_client(self.session, self.base_url, install.bot_token)
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                if method in AS_JSON:
                    answer = await client.api_call(method, json=args)
                else:
                    answer = await client.api_call(method, data=args)
        except SlackApiError as error:
            raise self._to_error(team, method, error, str(args.get("channel", ""))) from None
        except aiohttp.ClientConnectorError:
            raise errors.SlackUnavailable("unreachable") from None
        except errors.NO_ANSWER:
            raise errors.SlackUnavailable("no_answer", may_have_succeeded=True) from None
        if not isinstance(answer.data, dict):
            raise errors.SlackUnavailable("not_json", may_have_succeeded=True)
        self.granted_scopes[team.team_id] = scopes_of(answer)
        return answer.data

    def _to_error(
        self, team: Team, method: str, error: SlackApiError, channel: str
    ) -> errors.SlackRefused | errors.SlackUnavailable:
        response = error.response
        status = getattr(response, "status_code", None) or (response.get("status") if isinstance(response, dict) else 0)
        data = response if isinstance(response, dict) else getattr(response, "data", None)
        code = errors.code_of(error)
        if status == 429 or code in errors.RATE_LIMITED:
            headers = getattr(response, "headers", None) or {}
            retry_after_s = _seconds(headers.get("Retry-After"))
            self.rate_limiter.on_rate_limited(team.team_id, method, retry_after_s, channel)
            log.info("slack_rate_limited", method=method, retry_after_s=retry_after_s)
            return errors.SlackUnavailable("limited", retry_after_s=retry_after_s)
        if code in errors.OUTCOME_UNKNOWN and method in POSTS:
            return errors.SlackUnavailable(code, may_have_succeeded=True)
        if not code:
            return errors.SlackUnavailable(f"status_{status}", may_have_succeeded=True)
        return errors.SlackRefused(code, data if isinstance(data, dict) else None)


def scopes_of(answer: AsyncSlackResponse) -> set[str]:
    """The token's scopes, which Slack names in a header of every answer."""
    return set(str(answer.headers.get("X-OAuth-Scopes", "")).replace(" ", "").split(",")) - {""}


def _seconds(value: Any) -> float:
    try:
        return max(1.0, float(value))
    except (TypeError, ValueError):
        return RATE_LIMIT_DEFAULT_S
