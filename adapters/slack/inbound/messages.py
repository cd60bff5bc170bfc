"""Listeners for events: mentions and direct messages with images, the Home tab, and removal of the app.

bolt acknowledges when a listener returns, so a request is stored first; an event that is not stored in time is not
acknowledged, and Slack redelivers it. A mention with an image may arrive twice, as `app_mention` and as `message`: both
have the same channel and ts, which make the job's key.
"""

import re
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.context.async_context import AsyncBoltContext

from adapters.slack.context import ANSWERED_AREA, HandlerContext
from adapters.slack.inbound import subcommands
from adapters.slack.inbound import translate as t
from adapters.slack.inbound.image_requests import answer_once, submit
from adapters.slack.inbound.modals import publish_home
from adapters.slack.inbound.translate import ImageRequest, Origin, images_of
from adapters.slack.outbound.api_client import HISTORY_SCOPES, SlackApi
from adapters.slack.outbound.errors import SCOPE_MISSING, SlackError, SlackRefused
from adapters.slack.outbound.files import posts_of
from adapters.slack.setup.installations import Install, Installations
from core.domain.job import Requester
from core.domain.parameters.ordinary_words import is_small_talk, without_ordinary_words
from core.presentation.texts.request_texts import thread_unreadable_text

log = structlog.get_logger(__name__)

HANDLED_SUBTYPES = (None, "file_share", "thread_broadcast")
THREAD_WAIT_S = 1.2
"""Some apps may read a thread only once a minute; nobody should wait for that."""
FILE_BEFORE_S, LISTED = 3600.0, 20
"""A file may be uploaded some time before its message is sent."""
HELP_AGAIN_S = 600.0
LATE_S = 60.0

Body = dict[str, Any]


class NotStored(Exception):
    """The request was not stored in time, so the event must not be acknowledged."""


@dataclass(frozen=True, slots=True)
class Events:
    ctx: HandlerContext

    def register(self, app: AsyncApp) -> None:
        app.event("app_mention")(self.mentioned)
        app.event("message")(self.message)
        app.event("app_home_opened")(self.home_opened)
        app.event("app_uninstalled")(self.removed)
        app.event("tokens_revoked")(self.removed)
        app.event("team_access_revoked")(self.access_revoked)

    async def mentioned(self, body: Body, context: AsyncBoltContext) -> None:
        """`@bot factor=3` with an image, or a subcommand."""
        await self._handle_message(body, context, in_thread=True)

    async def message(self, body: Body, context: AsyncBoltContext) -> None:
        """A direct message, or a message with an image in a channel that mentions the bot."""
        event = body.get("event") or {}
        if event.get("subtype") == "message_changed" and (edited := _edited(event)):
            event = edited
            body = body | {"event": edited}
        if event.get("subtype") not in HANDLED_SUBTYPES or event.get("bot_id") or not event.get("user"):
            return
        direct = event.get("channel_type") == "im"
        mentions_us = f"<@{context.bot_user_id}" in str(event.get("text") or "")
        if direct or (mentions_us and images_of(event)):
            await self._handle_message(body, context, in_thread=not direct)

    async def _handle_message(self, body: Body, context: AsyncBoltContext, *, in_thread: bool) -> None:
        event = body.get("event") or {}
        if event.get("bot_id"):
            return
        origin = self.ctx.origin(body, context)
        ts = str(event.get("ts") or "")
        thread_ts = origin.thread_ts or (ts if in_thread else "")
        text = t.without_mentions(event.get("text"))
        key = f"post-{origin.channel_id}-{ts}"
        files = images_of(event)
        name, rest = subcommands.subcommand(text)
        edited_ts = str((event.get("edited") or {}).get("ts") or "")
        request = ImageRequest(
            origin, key, text, files, thread_ts=thread_ts, has_prose=True, redeliverable=True, edited_ts=edited_ts
        )
        if name and not files:
            answer = partial(subcommands.answer, self.ctx, origin, name, rest)
            self.ctx.tasks.spawn(name, answer_once(self.ctx, request, answer))
        elif files or "://" in text:
            await self._finish_before_ack(submit(self.ctx, request))
        else:
            await self._finish_before_ack(self._handle_without_image(request, ts, mentioned=in_thread))

    async def _handle_without_image(self, request: ImageRequest, ts: str, *, mentioned: bool) -> None:
        """The event names no image: look for its files, then for images above it in the thread, or send help."""
        origin = request.origin
        if mentioned and (files := await list_files_of(self.ctx.api, origin, ts)):
            await submit(self.ctx, replace(request, files=files))
            return
        presets = await self.ctx.presets(origin)
        names = {*presets, *self.ctx.service.models.ids}
        text = without_ordinary_words(request.text, names)
        asks = bool(text) and self.ctx.text_is_parameters(text, presets)
        if asks and not origin.thread_ts:
            await submit(self.ctx, request)
        elif origin.thread_ts and not is_small_talk(request.text, names):
            await self._submit_from_thread(request, ts, asks=asks)
        else:
            self.ctx.tasks.spawn("help", self._send_help_rarely(request))

    async def _finish_before_ack(self, work: Coroutine[Any, Any, None]) -> None:
        if not await self.ctx.finish_before_ack(work):
            raise NotStored

    async def _submit_from_thread(self, request: ImageRequest, ts: str, *, asks: bool) -> None:
        """Submit the nearest images above a mention in a thread, if the bot may read it."""
        origin = request.origin
        try:
            found = await nearest_images_above(self.ctx.api, origin, ts, self.ctx.installs)
        except SlackRefused as refusal:
            log.info("slack_thread_unread", error=refusal.error)
            if refusal.error == SCOPE_MISSING and asks:
                needed = str(refusal.data.get("needed") or HISTORY_SCOPES[origin.kind])

                async def explain(actor: Requester) -> str:
                    return thread_unreadable_text(needed, actor.locale)

                await answer_once(self.ctx, request, partial(self.ctx.run_and_answer, request.place, explain))
                return
            found = []
        except SlackError as away:
            log.info("slack_thread_unread", error=away.error)
            found = []
        if found or asks:
            await submit(self.ctx, replace(request, files=found))
        else:
            await self._send_help_rarely(request)

    async def _send_help_rarely(self, request: ImageRequest) -> None:
        """Send help after a message without a request, at most once in `HELP_AGAIN_S`: not after every "thank you"."""
        origin = request.origin
        key = f"help:{origin.team_id}:{origin.user_id}:{origin.channel_id}"

        async def help_once(_: Requester) -> None:
            if await self.ctx.state.claim(ANSWERED_AREA, key, ttl_s=HELP_AGAIN_S):
                await subcommands.answer(self.ctx, origin, "help", "")

        await self.ctx.run_and_answer(origin, help_once, starts=False)

    async def home_opened(self, body: Body, context: AsyncBoltContext) -> None:
        if (body.get("event") or {}).get("tab") == "home":
            self.ctx.tasks.spawn("home", publish_home(self.ctx, self.ctx.origin(body, context)))

    # --------------------------------------------------------------------- removal

    async def removed(self, body: Body, context: AsyncBoltContext) -> None:
        """The app was removed from the workspace or org, or tokens were revoked; only the bot's token matters."""
        event = body.get("event") or {}
        if event.get("type") != "tokens_revoked" or (event.get("tokens") or {}).get("bot"):
            self.ctx.tasks.spawn("removed", self._forget(body, context))

    async def access_revoked(self, body: Body, context: AsyncBoltContext) -> None:
        self.ctx.tasks.spawn("revoked", self._forget_revoked(body, self.ctx.origin(body, context)))

    async def _forget_revoked(self, body: Body, origin: Origin) -> None:
        """Workspaces lost an org's app. If the event is late, Slack is asked which ones have it again."""
        granted: set[str] = set()
        if self.ctx.clock.now() - float(body.get("event_time") or 0) > LATE_S:
            try:
                listed = await self.ctx.api.call(origin.team, "auth.teams.list", limit=1000)
                granted = {str(team.get("id")) for team in listed.get("teams") or ()}
            except SlackError as error:
                log.info("slack_teams_not_listed", error=error.error)
        for team_id in map(str, (body.get("event") or {}).get("team_ids") or ()):
            if team_id in granted:
                log.info("slack_removal_outdated", workspace=team_id)
            else:
                await self.ctx.service.accounts.forget_workspace(t.PLATFORM, team_id)

    async def _forget(self, body: Body, context: AsyncBoltContext) -> None:
        team_id = str(body.get("team_id") or context.team_id or "")
        enterprise_id = str(body.get("enterprise_id") or context.enterprise_id or "")
        known = self.ctx.installs.cached(team_id, enterprise_id) or Install(team_id, "", "")
        install = await self.ctx.installs.latest(known)
        if (body.get("event_time") or install.installed_at) < int(install.installed_at):
            log.info("slack_removal_outdated", workspace=install.key)  # delivered after the app was installed again
            return
        await forget_workspace(self.ctx, install)


async def list_files_of(api: SlackApi, origin: Origin, ts: str) -> list[dict[str, Any]]:
    """The files of a message whose event names none: `app_mention` sometimes omits them (marvin #1368)."""
    if not re.fullmatch(r"\d+(\.\d+)?", ts):
        return []
    since_s = f"{float(ts) - FILE_BEFORE_S:.0f}"
    args: dict[str, Any] = {"channel": origin.channel_id, "user": origin.user_id, "ts_from": since_s, "count": LISTED}
    try:
        answer = await api.call(origin.team, "files.list", max_wait_s=THREAD_WAIT_S, **args)
    except SlackError as error:
        log.info("slack_files_not_listed", error=error.error)
        return []
    files = [file for file in answer.get("files") or () if file.get("id")]
    return [file for file in files if (origin.channel_id, ts) in posts_of(file)]


async def nearest_images_above(api: SlackApi, origin: Origin, ts: str, installs: Installations) -> list[dict[str, Any]]:
    """The images of the last message before `ts` in the thread that has any and is not ours. Raises SlackError."""
    install = installs.cached(origin.team_id, origin.enterprise_id)
    ours = install.bot_user_id if install is not None else ""
    found: list[dict[str, Any]] = []
    at = {"channel": origin.channel_id, "ts": origin.thread_ts, "latest": ts}
    async for message in api.messages(origin.team, "conversations.replies", max_wait_s=THREAD_WAIT_S, **at):
        if message.get("ts") != ts and message.get("user") != ours:
            found = images_of(message) or found
    return found


def _edited(event: Body) -> Body | None:
    """A message whose text was edited, in the form of a new message event; None if something else changed.

    Slack sends an edited mention as a new `app_mention` by itself (bolt-js #960, read 2026-11-29). A job that exists
    stays as it is, by its key; a request that was refused for its text is started once the text is corrected.
    """
    message, before = event.get("message") or {}, event.get("previous_message") or {}
    if not message.get("edited") or message.get("text") == before.get("text"):
        return None
    return {**message, "channel": event.get("channel"), "channel_type": event.get("channel_type")}


async def forget_workspace(ctx: HandlerContext, install: Install) -> None:
    """Delete the data of a workspace that has removed the app: its token, users, jobs and images."""
    log.info("slack_workspace_removed", workspace=install.key)
    if not ctx.installs.is_fixed(install.key):
        await ctx.installs.forget(install.key)
    for team_id in ctx.installs.teams_of(install.key):
        ctx.users.forget(team_id)
        await ctx.service.accounts.forget_workspace(t.PLATFORM, team_id)
