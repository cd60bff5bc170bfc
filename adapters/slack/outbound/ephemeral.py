"""Short answers to one member: through the response_url where there is one, else ephemerally, else directly."""

from dataclasses import dataclass

import structlog

from adapters.slack.inbound.translate import Where
from adapters.slack.outbound.api_client import SlackApi
from adapters.slack.outbound.errors import TRANSIENT, SlackAway, SlackError
from adapters.slack.views.blocks import Content
from adapters.slack.views.card import draw
from core.domain.errors import PlatformBusy, PlatformRefused, UpscaleError
from core.jobs.service import JobService
from core.presentation.card import Card
from core.presentation.failure_texts import of_no_job
from core.presentation.notices import notice_card, said

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answers:
    """Tells. Never raises for what Slack does: whoever asked cannot be reached then."""

    api: SlackApi
    service: JobService

    async def tell(self, where: Where, told: Content | Card | str) -> bool:
        """Only `where.user_id` sees it (in a direct message: it is a message). False when no way was open."""
        if isinstance(told, str):
            told = said(told, tone="done")
        content = draw(told) if isinstance(told, Card) else told
        if where.response_url and await self.api.respond(where.response_url, content):
            return True
        direct = where.channel_id if where.kind == "im" else ""
        if where.channel_id and not direct:
            at = where.channel_id, where.user_id
            if await self.api.whisper(where.team, *at, content, where.thread_ts):
                return True
        try:
            channel = direct or await self.api.direct_channel(where.team, where.user_id)
            await self.api.post(where.team, channel, content, thread_ts=where.thread_ts if direct else "")
        except SlackError as error:
            log.warning("slack_answer_lost", error=error.error)
            return False
        return True

    async def known(self, error: BaseException) -> UpscaleError:
        """As a member of the tree; what Slack refuses, or asks to wait for, is nobody's fault here."""
        if isinstance(error, SlackAway):
            return PlatformBusy()
        if isinstance(error, SlackError):
            log.info("slack_action_refused", error=error.error)
            return PlatformBusy() if error.error in TRANSIENT else PlatformRefused()
        return await self.service.incidents.unforeseen("slack", error)

    async def error(self, where: Where, error: BaseException, locale: str, *, starts: bool = True) -> None:
        """Explain what went wrong; of what `starts` no job not that none was started.

        The unforeseen is logged once and becomes a reference.
        """
        known = await self.known(error)
        told = self.service.notice(known, locale)
        await self.tell(where, notice_card(told if starts else of_no_job(told, known, locale), locale))
