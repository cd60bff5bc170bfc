"""Dependencies and helpers of all inbound handlers: private answers, and turning files and text into jobs.

Decides nothing about parameters or images: it asks the core and passes on the answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import structlog
from slack_bolt.context.async_context import AsyncBoltContext

from adapters.slack.connection.background_tasks import BackgroundTasks
from adapters.slack.inbound import translate as t
from adapters.slack.inbound.batches import Batches, size_of
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
from core.domain.errors import InvalidParameters, NoImage, PlatformBusy, PlatformRefused, UpscaleError
from core.domain.job import Requester, Source, UpscaleRequest
from core.domain.parameters.grammar import parse
from core.domain.parameters.ordinary_words import without_ordinary_words
from core.domain.parameters.spec import PRESETS, Presets
from core.images.renditions import JobMedia
from core.jobs.service import JobService
from core.ports import AppState, Clock
from core.presentation import Card, Notice, notice_card, notice_without_job, plain_card
from core.presentation.texts.request_texts import left_out_text

log = structlog.get_logger(__name__)

ACK_BUDGET_S = 2.6
"""Slack waits three seconds for an acknowledgement."""
MAX_IMAGES = 10
USER_LOOKUP_S = 1.5
"""Time limit for `users.info` of an unknown user before a job is stored; after it the job goes on in English.

Leaves one of Slack's three seconds to store the job; Slack redelivers an event that is not stored by then.
"""
ANSWERED_AREA = "slack.answered"
ANSWERED_TTL_S = 86_400.0

Fields = Mapping[str, str | int | float | bool]
HandlerResult: TypeAlias = Content | Card | str


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """A member's action that may become jobs. `event` is the same for every redelivery."""

    origin: Origin
    event: str
    text: str = ""
    files: Sequence[Mapping[str, Any]] = ()
    links: Sequence[str] = ()
    fields: Fields = field(default_factory=dict)
    private: bool | None = None
    thread_ts: str | None = None
    has_prose: bool = False
    """The text may contain ordinary words around the parameters."""
    redeliverable: bool = False
    edited_ts: str = ""
    """When the message was last edited; each version's mistakes are reported once."""
    agreed_nanousd: int | None = 0
    """The total price of several images that the member has already seen; None always asks which to take."""


@dataclass(frozen=True, slots=True)
class HandlerContext:
    settings: Settings
    service: JobService
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
        """Run `work` before the acknowledgement; False if it did not end in time.

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

    # --- jobs of image requests -------------------------------------------------------------------------------------

    @property
    def batches(self) -> Batches:
        return Batches(self.service, self.state)

    async def actor(self, origin: Origin, *, timeout_s: float = LOOKUP_TIMEOUT_S) -> Requester:
        return t.requester(origin, await self.users.get(origin.team, origin.user_id, timeout_s=timeout_s))

    async def submit(self, request: ImageRequest) -> None:
        actor = await self.actor(request.origin, timeout_s=USER_LOOKUP_S)
        try:
            presets = await self.service.accounts.presets(actor)
            if request.has_prose:
                request = replace(request, text=without_ordinary_words(request.text, presets))
            sources, private = self._sources(request, presets)
            if not sources:
                raise NoImage
            requests = [self._request(request, actor, *source, private) for source in sources[:MAX_IMAGES]]
            asked = len(requests) > 1 and await self._asked(request, requests)
            for each in () if asked else requests:
                await self.service.request(each)
            if words := left_out_text(len(requests), len(sources), (), actor.locale, offered=asked):
                self.tasks.spawn("left_out", self.answer_once(request, lambda _: words, "left_out"))
        except Exception as error:
            self.tasks.spawn("explain", self._refuse_once(request, error, actor.locale))

    async def _asked(self, request: ImageRequest, requests: Sequence[UpscaleRequest]) -> bool:
        """Whether the member must choose among several images first; if so, ask once."""
        files = request.files[: len(requests)]
        sizes = await asyncio.gather(*(size_of(self.api, request.origin.team, file) for file in files))
        sizes += [None] * (len(requests) - len(sizes))
        key = f"{request.origin.team_id}:{request.event}:{request.edited_ts}"
        card = await self.batches.question(key, requests, sizes, agreed_nanousd=request.agreed_nanousd)
        if card is None:
            return False
        if not request.redeliverable or await self.claim_answer(key):
            await self._ask(_in_thread(request), card, private=requests[0].private)
        return True

    async def _ask(self, origin: Origin, card: Card, *, private: bool) -> None:
        """Ask in the conversation, as a job does; privately if the request is private or Slack refuses the post."""
        if origin.channel_id and not private and not origin.response_url:
            try:
                await self.api.post(origin.team, origin.channel_id, draw(card), thread_ts=origin.thread_ts)
            except SlackError as error:
                log.info("slack_question_refused", error=error.error)
            else:
                return
        await self.answer(origin, card)

    def _sources(self, request: ImageRequest, presets: Presets) -> tuple[list[tuple[str, Source]], bool]:
        """(stable name, source) of every image, and whether the text or the form asks for a private result."""
        found = [self._message_source(number, file, request.origin) for number, file in enumerate(request.files)]
        links, private = list(request.links), bool(request.private)
        try:
            parsed = parse(request.text, {}, self.service.models, presets=presets, lenient=True)
            links += parsed.links
            private = private or (request.private is None and bool(parsed.private))
        except InvalidParameters:
            if not found:
                raise
            # The core reports it, or already knows the job from before the message was edited.
        named = ((f"link{number}", link) for number, link in enumerate(links))
        found += [(name, t.link_source(link, request.origin, self.own_hosts)) for name, link in named]
        return found, private

    def _message_source(self, number: int, picture: Mapping[str, Any], origin: Origin) -> tuple[str, Source]:
        """An image of a message: a file by its id, or the link of an image block or unfurled link."""
        if picture.get("id"):
            return str(picture["id"]), t.file_source(picture, origin)
        source = t.link_source(str(picture.get("link") or ""), origin, self.own_hosts)
        return f"seen{number}", replace(source, name=str(picture.get("name") or "") or source.name)

    def _request(
        self, request: ImageRequest, actor: Requester, item: str, source: Source, private: bool
    ) -> UpscaleRequest:
        return UpscaleRequest(
            key=t.job_key(request.origin.team_id, request.event, item),
            requester=actor,
            source=source,
            reply=t.address(request.origin, private=private, thread_ts=request.thread_ts),
            text=request.text,
            fields=request.fields,
            private=private,
            unsafe_place=True,  # Slack has no age-restricted channels: only the operator's rule applies
        )

    async def _refuse_once(self, request: ImageRequest, error: Exception, locale: str) -> None:
        """Report an error once, even if the event is redelivered to another process."""
        if request.redeliverable:
            key = f"{request.origin.team_id}:{request.event}:{request.edited_ts}".removesuffix(":")
            if not await self.claim_answer(key):
                return
        await self.answer_refusal(_in_thread(request), error, locale)

    async def answer_once(self, request: ImageRequest, text: Callable[[str], str], *about: str) -> None:
        """Answer with `text(locale)` once, even if the event is redelivered; `about` tells several answers apart."""
        key = ":".join((request.origin.team_id, request.event, *about))
        if not request.redeliverable or await self.claim_answer(key):
            actor = await self.actor(request.origin)
            await self.answer(_in_thread(request), text(actor.locale))

    async def answer_pick_limit(self, origin: Origin, most: int, total: int) -> None:
        """Report that a form offers only `most` of a message's images."""
        actor = await self.actor(origin)
        await self.answer(origin, left_out_text(most, total, (), actor.locale, offered=True))

    async def claim_answer(self, key: str) -> bool:
        """Whether this event is not answered yet. True if the database fails: better two answers than none."""
        try:
            return await self.state.claim(ANSWERED_AREA, key, ttl_s=ANSWERED_TTL_S)
        except Exception as error:
            log.info("slack_answer_not_claimed", error=(await self.to_domain_error(error)).code)
            return True

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


def _in_thread(request: ImageRequest) -> Origin:
    return replace(request.origin, thread_ts=request.thread_ts) if request.thread_ts else request.origin
