"""Short answers to one member: through the response_url where there is one, else ephemerally, else directly."""

from __future__ import annotations

import structlog

from adapters.slack.inbound.translate import Where
from adapters.slack.outbound.api_client import SlackApi, Team
from adapters.slack.outbound.errors import TRANSIENT, SlackAway, SlackError
from adapters.slack.outbound.response_url import Responses
from adapters.slack.views import job as render
from adapters.slack.views.blocks import Content
from core.domain.errors import PlatformBusy, PlatformRefused, UpscaleError
from core.domain.job import Job
from core.ports import Service

log = structlog.get_logger(__name__)


class Answers:
    """Tells. Never raises for what Slack does: whoever asked cannot be reached then."""

    def __init__(self, api: SlackApi, responses: Responses, service: Service) -> None:
        self._api = api
        self._responses = responses
        self._service = service

    async def tell(self, where: Where, content: Content) -> bool:
        """Only `where.user_id` sees it (in a direct message: it is a message). False when no way was open."""
        if where.response_url and await self._responses.send(where.response_url, content):
            return True
        team = Team(where.team_id, where.enterprise_id)
        if where.channel_id and where.kind != "im":
            try:
                await self._api.call(
                    team,
                    "chat.postEphemeral",
                    channel=where.channel_id,
                    user=where.user_id,
                    thread_ts=where.thread_ts or None,
                    **content.as_args(),
                )
                return True
            except SlackError as error:
                log.info("slack_ephemeral_refused", error=error.error)
        return await self._directly(team, where, content)

    async def _directly(self, team: Team, where: Where, content: Content) -> bool:
        try:
            channel = where.channel_id if where.kind == "im" and where.channel_id else ""
            if not channel:
                opened = await self._api.call(team, "conversations.open", users=where.user_id)
                channel = str((opened.get("channel") or {}).get("id") or where.user_id)
            await self._api.call(
                team,
                "chat.postMessage",
                channel=channel,
                thread_ts=where.thread_ts or None if where.kind == "im" else None,
                unfurl_links=False,
                unfurl_media=False,
                **content.as_args(),
            )
            return True
        except SlackError as error:
            log.warning("slack_answer_lost", error=error.error)
            return False

    async def known(self, error: BaseException) -> UpscaleError:
        """As a member of the tree; what Slack refuses, or asks to wait for, is nobody's fault here."""
        if isinstance(error, SlackAway):
            return PlatformBusy()
        if isinstance(error, SlackError):
            log.info("slack_action_refused", error=error.error)
            return PlatformBusy() if error.error in TRANSIENT else PlatformRefused()
        return await self._service.incidents.unforeseen("slack", error)

    async def error(self, where: Where, error: BaseException, locale: str, *, job: Job | None = None) -> None:
        """Explain what went wrong. The unforeseen is logged once and becomes a reference."""
        said = self._service.notice(await self.known(error), locale, job)
        await self.tell(where, render.notice(said, locale, job_id=job.id if job else ""))
