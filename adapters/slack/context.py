"""Dependencies of all inbound handlers, and answers to one member."""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import structlog
from slack_bolt.context.async_context import AsyncBoltContext

from adapters.slack.connection.background_tasks import BackgroundTasks
from adapters.slack.inbound import translate as t
from adapters.slack.inbound.translate import Origin, origin_of
from adapters.slack.inbound.user_cache import LOOKUP_TIMEOUT_S, UserCache
from adapters.slack.outbound.api_client import SlackApi
from adapters.slack.outbound.errors import TRANSIENT, SlackError, SlackUnavailable
from adapters.slack.outbound.files import Uploader
from adapters.slack.settings import Settings
from adapters.slack.setup.installations import Installations
from adapters.slack.views.blocks import Content
from adapters.slack.views.card import draw
from core.accounts.allowlist import AllowList
from core.domain.errors import InvalidParameters, PlatformBusy, PlatformRefused, UpscaleError
from core.domain.job import Requester
from core.domain.parameters.spec import PRESETS, Presets
from core.images.renditions import JobMedia
from core.jobs.selections import Selections
from core.jobs.service import JobService
from core.ports import AppState, Clock
from core.presentation import Card, Notice, notice_card, notice_without_job, plain_card
from core.presentation.texts.request_texts import left_out_text

log = structlog.get_logger(__name__)

ACK_BUDGET_S = 2.6
"""Slack waits three seconds for an acknowledgement."""
ANSWERED_AREA = "slack.answered"
ANSWERED_TTL_S = 86_400.0
ANSWERING_AREA, ANSWERING_S, ANSWER_RECHECK_S = "slack.answering", 20.0, 0.2
"""How long a delivery of an event has to answer before another delivery answers."""

HandlerResult: TypeAlias = Content | Card | str


@dataclass(frozen=True, slots=True)
class HandlerContext:
    settings: Settings
    service: JobService
    selections: Selections
    media: JobMedia
    state: AppState
    clock: Clock
    api: SlackApi
    installs: Installations
    users: UserCache
    uploader: Uploader
    tasks: BackgroundTasks
    allowlist: AllowList | None
    own_hosts: Collection[str]
    """host[:port] that serve Slack's files."""

    def origin(self, body: Mapping[str, Any], context: AsyncBoltContext) -> Origin:
        team_id = context.team_id or (body.get("team") or {}).get("id") or body.get("team_id") or ""
        return origin_of(body, str(team_id), str(context.enterprise_id or ""), self.clock.now())

    def locale(self, origin: Origin) -> str:
        """The member's language if it is cached, else English."""
        user = self.users.cached(origin.team_id, origin.user_id)
        return user.locale if user is not None else "en"

    async def finish_before_ack(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run `work` before the acknowledgement; False if it failed or did not end in time.

        If the process dies meanwhile, Slack shows the member an error or redelivers the event.
        """
        return await self.tasks.done_within(ACK_BUDGET_S, "stored", work)

    # --- answers to one member; SlackError is logged, not raised, because the member cannot be reached then ---------

    async def answer(self, origin: Origin, result: HandlerResult) -> bool:
        """Send an answer that only `origin.user_id` sees; False if Slack refuses every way.

        Tries the response_url, an ephemeral message and a direct message, in this order.
        """
        if isinstance(result, str):
            result = plain_card(result, tone="done")
        content = draw(result) if isinstance(result, Card) else result
        if origin.response_url and await self.api.respond(origin.response_url, content):
            return True
        direct = origin.channel_id if origin.kind == "im" else ""
        if origin.channel_id and not direct:
            at = origin.channel_id, origin.user_id
            if await self.api.send_ephemeral(origin.team, *at, content, origin.thread_ts):
                return True
        try:
            channel = direct or await self.api.direct_channel(origin.team, origin.user_id)
            await self.api.post(origin.team, channel, content, thread_ts=origin.thread_ts if direct else "")
        except SlackError as error:
            log.warning("slack_answer_lost", error=error.error)
            return False
        return True

    async def to_domain_error(self, error: BaseException) -> UpscaleError:
        """Map a Slack error to PlatformBusy or PlatformRefused; log an unforeseen error and give it a reference."""
        if isinstance(error, SlackUnavailable):
            return PlatformBusy()
        if isinstance(error, SlackError):
            log.info("slack_action_refused", error=error.error)
            return PlatformBusy() if error.error in TRANSIENT else PlatformRefused()
        return await self.service.incidents.unforeseen("slack", error)

    async def refusal_notice(self, error: BaseException, locale: str, *, starts: bool = False) -> Notice:
        """The notice for an error; `starts`: the refused action would have started a job."""
        known = await self.to_domain_error(error)
        notice = self.service.notice(known, locale)
        return notice if starts else notice_without_job(notice, known, locale)

    async def answer_refusal(self, origin: Origin, error: BaseException, locale: str, *, starts: bool = True) -> None:
        await self.answer(origin, notice_card(await self.refusal_notice(error, locale, starts=starts), locale))

    async def run_and_answer(
        self, origin: Origin, work: Callable[[Requester], Awaitable[HandlerResult | None]], *, starts: bool = True
    ) -> None:
        """Run `work` for the acting member and answer with its result, or with the reason why it was refused."""
        actor = await self.actor(origin)
        try:
            result = await work(actor)
        except Exception as error:
            await self.answer_refusal(origin, error, actor.locale, starts=starts)
            return
        if result is not None:
            await self.answer(origin, result)

    async def actor(self, origin: Origin, *, timeout_s: float = LOOKUP_TIMEOUT_S) -> Requester:
        return t.requester(origin, await self.users.get(origin.team, origin.user_id, timeout_s=timeout_s))

    async def answer_pick_limit(self, origin: Origin, most: int, total: int) -> None:
        """Report that a form offers only `most` of a message's images."""
        actor = await self.actor(origin)
        await self.answer(origin, left_out_text(most, total, (), actor.locale, offered=True))

    async def answer_once(self, key: str, answer: Callable[[], Awaitable[None]]) -> None:
        """Call `answer` once, however often its event is delivered, and again if the process dies in it.

        Another delivery waits meanwhile. If the database fails, it answers: better two answers than none.
        """
        try:
            while not await self.state.claim(ANSWERING_AREA, key, ttl_s=ANSWERING_S):
                if await self.state.get(ANSWERED_AREA, key):
                    return
                await self.clock.sleep(ANSWER_RECHECK_S)
            if await self.state.get(ANSWERED_AREA, key):
                return
        except Exception as error:
            log.info("slack_answer_not_claimed", error=(await self.to_domain_error(error)).code)
        await answer()
        try:
            await self.state.put(ANSWERED_AREA, key, value=True, ttl_s=ANSWERED_TTL_S)
        except Exception as error:
            log.info("slack_answer_not_stored", error=(await self.to_domain_error(error)).code)

    async def presets(self, origin: Origin) -> Presets:
        """The member's presets; only the built-in ones if the database fails, since the core checks again."""
        try:
            return await self.service.accounts.presets(t.requester(origin, t.SlackUser()))
        except Exception as error:
            log.info("slack_presets_unread", error=(await self.to_domain_error(error)).code)
            return PRESETS

    def text_is_parameters(self, text: str, presets: Presets = PRESETS) -> bool:
        """Whether the text consists of valid parameters only (a message may say anything)."""
        try:
            self.service.check(text, {}, presets)
        except InvalidParameters:
            return False
        return True
