"""What every entry point of Slack shares; and from files and words to jobs, the same for every way in.

Decides nothing about parameters or pictures: it asks the core and tells its answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import structlog
from slack_bolt.context.async_context import AsyncBoltContext

from adapters.slack.connection.task_group import BackgroundTasks
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
"""Name, language and rights of somebody new; where Slack does not tell in time, the job goes on without, in English.

Leaves a second of Slack's three to store the job; an event that is not stored by then comes again.
"""
ANSWERED_AREA = "slack.answered"
ANSWERED_TTL_S = 86_400.0

Fields = Mapping[str, str | int | float | bool]
HandlerResult: TypeAlias = Content | Card | str


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One action of a member that may become jobs. `event` is stable over redeliveries."""

    origin: Origin
    event: str
    text: str = ""
    files: Sequence[Mapping[str, Any]] = ()
    links: Sequence[str] = ()
    fields: Fields = field(default_factory=dict)
    private: bool | None = None
    thread_ts: str | None = None
    has_prose: bool = False
    """The text may hold ordinary words around the parameters."""
    redeliverable: bool = False
    edited_ts: str = ""
    """When the member last changed the message; a mistake in each version is told."""
    agreed_nanousd: int | None = 0
    """A total of several pictures that the member has seen; None: they are to choose among them in any case."""


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
        """The member's language as far as it is known without asking."""
        person = self.users.cached(origin.team_id, origin.user_id)
        return person.locale if person is not None else "en"

    async def finish_before_ack(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run `work` before the acknowledgement; False where it was not done in time.

        A process that dies in between leaves Slack's own warning, not silence.
        """
        return await self.tasks.done_within(ACK_BUDGET_S, "stored", work)

    # --- answers to one member; they never raise for what Slack does: whoever asked cannot be reached then ----------

    async def answer(self, origin: Origin, told: HandlerResult) -> bool:
        """Only `where.user_id` sees it (in a direct message: it is a message). False when no way was open.

        Through the response_url where there is one, else ephemerally, else directly.
        """
        if isinstance(told, str):
            told = plain_card(told, tone="done")
        content = draw(told) if isinstance(told, Card) else told
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
        """As a member of the tree; what Slack refuses, or asks to wait for, is nobody's fault here.

        The unforeseen is logged once and becomes a reference.
        """
        if isinstance(error, SlackUnavailable):
            return PlatformBusy()
        if isinstance(error, SlackError):
            log.info("slack_action_refused", error=error.error)
            return PlatformBusy() if error.error in TRANSIENT else PlatformRefused()
        return await self.service.incidents.unforeseen("slack", error)

    async def refusal_notice(self, error: BaseException, locale: str, *, starts: bool = False) -> Notice:
        """What went wrong; of what `starts` no job not that none was started."""
        known = await self.to_domain_error(error)
        told = self.service.notice(known, locale)
        return told if starts else notice_without_job(told, known, locale)

    async def answer_refusal(self, origin: Origin, error: BaseException, locale: str, *, starts: bool = True) -> None:
        await self.answer(origin, notice_card(await self.refusal_notice(error, locale, starts=starts), locale))

    async def run_and_answer(
        self, origin: Origin, work: Callable[[Requester], Awaitable[HandlerResult | None]], *, starts: bool = True
    ) -> None:
        """Do `work` for whoever acts, and tell them what it returns, or why it was refused, as what `starts` a job."""
        actor = await self.actor(origin)
        try:
            told = await work(actor)
        except Exception as error:
            await self.answer_refusal(origin, error, actor.locale, starts=starts)
            return
        if told is not None:
            await self.answer(origin, told)

    # --- jobs of orders -----------------------------------------------------------------------------------------------

    @property
    def batches(self) -> Batches:
        return Batches(self.service, self.state)

    async def actor(self, origin: Origin, *, timeout_s: float = LOOKUP_TIMEOUT_S) -> Requester:
        person = await self.users.get(origin.team, origin.user_id, timeout_s=timeout_s)
        return t.requester(origin, person)

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
        """Whether these wait for the member to choose among them; then the question is asked, once."""
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
        """In the conversation, as a job's own question is; to the member alone where that is wished or refused."""
        if origin.channel_id and not private and not origin.response_url:
            try:
                await self.api.post(origin.team, origin.channel_id, draw(card), thread_ts=origin.thread_ts)
            except SlackError as error:
                log.info("slack_question_refused", error=error.error)
            else:
                return
        await self.answer(origin, card)

    def _sources(self, request: ImageRequest, presets: Presets) -> tuple[list[tuple[str, Source]], bool]:
        """(stable name, source) of every picture, and whether the text or the form asks for privacy."""
        found = [self._message_source(number, file, request.origin) for number, file in enumerate(request.files)]
        links, private = list(request.links), bool(request.private)
        try:
            parsed = parse(request.text, {}, self.service.models, presets=presets, lenient=True)
            links += parsed.links
            private = private or (request.private is None and bool(parsed.private))
        except InvalidParameters:
            if not found:
                raise
            # The core judges it, or knows the job already from before its words were edited.
        named = ((f"link{number}", link) for number, link in enumerate(links))
        found += [(name, t.link_source(link, request.origin, self.own_hosts)) for name, link in named]
        return found, private

    def _message_source(self, number: int, picture: Mapping[str, Any], origin: Origin) -> tuple[str, Source]:
        """A picture of a message: a file by its id, or an address that a block or an unfurled link shows."""
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
            unsafe_place=True,  # Slack has no age-restricted channels: the operator's rule alone decides
        )

    async def _refuse_once(self, request: ImageRequest, error: Exception, locale: str) -> None:
        """Tell once, even where the same event comes again to another process."""
        if request.redeliverable:
            key = f"{request.origin.team_id}:{request.event}:{request.edited_ts}".removesuffix(":")
            if not await self.claim_answer(key):
                return
        await self.answer_refusal(_in_thread(request), error, locale)

    async def answer_once(self, request: ImageRequest, text: Callable[[str], str], *about: str) -> None:
        """Tell the member what `text` says in their language, even where the same event comes again."""
        if not request.redeliverable or await self.claim_answer(
            ":".join((request.origin.team_id, request.event, *about))
        ):
            actor = await self.actor(request.origin)
            await self.answer(_in_thread(request), text(actor.locale))

    async def answer_pick_limit(self, origin: Origin, most: int, total: int) -> None:
        """A form cannot offer all of a message's pictures."""
        actor = await self.actor(origin)
        await self.answer(origin, left_out_text(most, total, (), actor.locale, offered=True))

    async def claim_answer(self, key: str) -> bool:
        """Whether nobody has answered this yet. Rather said twice than not at all: the database may be what is away."""
        try:
            return await self.state.claim(ANSWERED_AREA, key, ttl_s=ANSWERED_TTL_S)
        except Exception as error:
            log.info("slack_answer_not_claimed", error=(await self.to_domain_error(error)).code)
            return True

    async def presets(self, origin: Origin) -> Presets:
        """Those that the member may name; everybody's where they cannot be read now: what is begun is judged again."""
        try:
            return await self.service.accounts.presets(t.requester(origin, t.SlackUser()))
        except Exception as error:
            log.info("slack_presets_unread", error=(await self.to_domain_error(error)).code)
            return PRESETS

    def text_is_parameters(self, text: str, presets: Presets = PRESETS) -> bool:
        """Whether these words are parameters and nothing else (somebody's message may say anything)."""
        try:
            self.service.check(text, {}, presets)
        except InvalidParameters:
            return False
        return True


def _in_thread(request: ImageRequest) -> Origin:
    return replace(request.origin, thread_ts=request.thread_ts) if request.thread_ts else request.origin
