"""What every entry point of Slack shares; and from files and words to jobs, the same for every way in.

Decides nothing about parameters or pictures: it asks the core and tells its answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import structlog
from slack_bolt.context.async_context import AsyncBoltContext

from adapters.slack.connection.task_group import Tasks
from adapters.slack.inbound import translate as t
from adapters.slack.inbound.batches import Batches, size_of
from adapters.slack.inbound.translate import Where, where_of
from adapters.slack.inbound.user_cache import ASK_TIMEOUT_S, UserCache
from adapters.slack.outbound.api_client import SlackApi
from adapters.slack.outbound.errors import TRANSIENT, SlackAway, SlackError
from adapters.slack.outbound.files import Uploader
from adapters.slack.settings import Settings
from adapters.slack.setup.installations import Installs
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

STORED_WITHIN_S = 2.6
"""Slack waits three seconds for an acknowledgement."""
MAX_PICTURES = 10
ASK_BEFORE_STORING_S = 1.5
"""Name, language and rights of somebody new; where Slack does not tell in time, the job goes on without, in English.

Leaves a second of Slack's three to store the job; an event that is not stored by then comes again.
"""
ANSWERED_AREA = "slack.answered"
ANSWERED_FOR_S = 86_400.0

Fields = Mapping[str, str | int | float | bool]
Told: TypeAlias = Content | Card | str


@dataclass(frozen=True, slots=True)
class Order:
    """One action of a member that may become jobs. `event` is stable over redeliveries."""

    where: Where
    event: str
    text: str = ""
    files: Sequence[Mapping[str, Any]] = ()
    links: Sequence[str] = ()
    fields: Fields = field(default_factory=dict)
    private: bool | None = None
    thread_ts: str | None = None
    spoken: bool = False
    """The text may hold ordinary words around the parameters."""
    may_come_again: bool = False
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
    installs: Installs
    people: UserCache
    uploader: Uploader
    tasks: Tasks
    allowlist: AllowList | None
    own_hosts: Collection[str]
    """host[:port] that serve Slack's files."""

    def where(self, body: Mapping[str, Any], context: AsyncBoltContext) -> Where:
        team_id = context.team_id or (body.get("team") or {}).get("id") or body.get("team_id") or ""
        return where_of(body, str(team_id), str(context.enterprise_id or ""), self.clock.now())

    def locale(self, where: Where) -> str:
        """The member's language as far as it is known without asking."""
        person = self.people.cached(where.team_id, where.user_id)
        return person.locale if person is not None else "en"

    async def stored(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run `work` before the acknowledgement; False where it was not done in time.

        A process that dies in between leaves Slack's own warning, not silence.
        """
        return await self.tasks.done_within(STORED_WITHIN_S, "stored", work)

    # --- answers to one member; they never raise for what Slack does: whoever asked cannot be reached then ----------

    async def tell(self, where: Where, told: Told) -> bool:
        """Only `where.user_id` sees it (in a direct message: it is a message). False when no way was open.

        Through the response_url where there is one, else ephemerally, else directly.
        """
        if isinstance(told, str):
            told = plain_card(told, tone="done")
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
        """As a member of the tree; what Slack refuses, or asks to wait for, is nobody's fault here.

        The unforeseen is logged once and becomes a reference.
        """
        if isinstance(error, SlackAway):
            return PlatformBusy()
        if isinstance(error, SlackError):
            log.info("slack_action_refused", error=error.error)
            return PlatformBusy() if error.error in TRANSIENT else PlatformRefused()
        return await self.service.incidents.unforeseen("slack", error)

    async def refusal(self, error: BaseException, locale: str, *, starts: bool = False) -> Notice:
        """What went wrong; of what `starts` no job not that none was started."""
        known = await self.known(error)
        told = self.service.notice(known, locale)
        return told if starts else notice_without_job(told, known, locale)

    async def refuse(self, where: Where, error: BaseException, locale: str, *, starts: bool = True) -> None:
        await self.tell(where, notice_card(await self.refusal(error, locale, starts=starts), locale))

    async def answering(
        self, where: Where, work: Callable[[Requester], Awaitable[Told | None]], *, starts: bool = True
    ) -> None:
        """Do `work` for whoever acts, and tell them what it returns, or why it was refused, as what `starts` a job."""
        actor = await self.actor(where)
        try:
            told = await work(actor)
        except Exception as error:
            await self.refuse(where, error, actor.locale, starts=starts)
            return
        if told is not None:
            await self.tell(where, told)

    # --- jobs of orders -----------------------------------------------------------------------------------------------

    @property
    def batches(self) -> Batches:
        return Batches(self.service, self.state)

    async def actor(self, where: Where, *, at_most_s: float = ASK_TIMEOUT_S) -> Requester:
        person = await self.people.get(where.team, where.user_id, at_most_s=at_most_s)
        return t.requester(where, person)

    async def take(self, order: Order) -> None:
        actor = await self.actor(order.where, at_most_s=ASK_BEFORE_STORING_S)
        try:
            presets = await self.service.accounts.presets(actor)
            if order.spoken:
                order = replace(order, text=without_ordinary_words(order.text, presets))
            sources, private = self._sources(order, presets)
            if not sources:
                raise NoImage
            requests = [self._request(order, actor, *source, private) for source in sources[:MAX_PICTURES]]
            asked = len(requests) > 1 and await self._asked(order, requests)
            for request in () if asked else requests:
                await self.service.request(request)
            if words := left_out_text(len(requests), len(sources), (), actor.locale, offered=asked):
                self.tasks.spawn("left_out", self.tell_once(order, lambda _: words, "left_out"))
        except Exception as error:
            self.tasks.spawn("explain", self._explain(order, error, actor.locale))

    async def _asked(self, order: Order, requests: Sequence[UpscaleRequest]) -> bool:
        """Whether these wait for the member to choose among them; then the question is asked, once."""
        files = order.files[: len(requests)]
        sizes = await asyncio.gather(*(size_of(self.api, order.where.team, file) for file in files))
        sizes += [None] * (len(requests) - len(sizes))
        key = f"{order.where.team_id}:{order.event}:{order.edited_ts}"
        card = await self.batches.question(key, requests, sizes, agreed_nanousd=order.agreed_nanousd)
        if card is None:
            return False
        if not order.may_come_again or await self.claimed(key):
            await self._ask(_in_thread(order), card, private=requests[0].private)
        return True

    async def _ask(self, where: Where, card: Card, *, private: bool) -> None:
        """In the conversation, as a job's own question is; to the member alone where that is wished or refused."""
        if where.channel_id and not private and not where.response_url:
            try:
                await self.api.post(where.team, where.channel_id, draw(card), thread_ts=where.thread_ts)
            except SlackError as error:
                log.info("slack_question_refused", error=error.error)
            else:
                return
        await self.tell(where, card)

    def _sources(self, order: Order, presets: Presets) -> tuple[list[tuple[str, Source]], bool]:
        """(stable name, source) of every picture, and whether the text or the form asks for privacy."""
        found = [self._shown(number, file, order.where) for number, file in enumerate(order.files)]
        links, private = list(order.links), bool(order.private)
        try:
            parsed = parse(order.text, {}, self.service.models, presets=presets, lenient=True)
            links += parsed.links
            private = private or (order.private is None and bool(parsed.private))
        except InvalidParameters:
            if not found:
                raise
            # The core judges it, or knows the job already from before its words were edited.
        named = ((f"link{number}", link) for number, link in enumerate(links))
        found += [(name, t.link_source(link, order.where, self.own_hosts)) for name, link in named]
        return found, private

    def _shown(self, number: int, picture: Mapping[str, Any], where: Where) -> tuple[str, Source]:
        """A picture of a message: a file by its id, or an address that a block or an unfurled link shows."""
        if picture.get("id"):
            return str(picture["id"]), t.file_source(picture, where)
        source = t.link_source(str(picture.get("link") or ""), where, self.own_hosts)
        return f"seen{number}", replace(source, name=str(picture.get("name") or "") or source.name)

    def _request(self, order: Order, actor: Requester, item: str, source: Source, private: bool) -> UpscaleRequest:
        return UpscaleRequest(
            key=t.job_key(order.where.team_id, order.event, item),
            requester=actor,
            source=source,
            reply=t.address(order.where, private=private, thread_ts=order.thread_ts),
            text=order.text,
            fields=order.fields,
            private=private,
            unsafe_place=True,  # Slack has no age-restricted channels: the operator's rule alone decides
        )

    async def _explain(self, order: Order, error: Exception, locale: str) -> None:
        """Tell once, even where the same event comes again to another process."""
        if order.may_come_again:
            key = f"{order.where.team_id}:{order.event}:{order.edited_ts}".removesuffix(":")
            if not await self.claimed(key):
                return
        await self.refuse(_in_thread(order), error, locale)

    async def tell_once(self, order: Order, text: Callable[[str], str], *about: str) -> None:
        """Tell the member what `text` says in their language, even where the same event comes again."""
        if not order.may_come_again or await self.claimed(":".join((order.where.team_id, order.event, *about))):
            actor = await self.actor(order.where)
            await self.tell(_in_thread(order), text(actor.locale))

    async def tell_limit(self, where: Where, most: int, total: int) -> None:
        """A form cannot offer all of a message's pictures."""
        actor = await self.actor(where)
        await self.tell(where, left_out_text(most, total, (), actor.locale, offered=True))

    async def claimed(self, key: str) -> bool:
        """Whether nobody has answered this yet. Rather said twice than not at all: the database may be what is away."""
        try:
            return await self.state.claim(ANSWERED_AREA, key, ttl_s=ANSWERED_FOR_S)
        except Exception as error:
            log.info("slack_answer_not_claimed", error=(await self.known(error)).code)
            return True

    async def presets(self, where: Where) -> Presets:
        """Those that the member may name; everybody's where they cannot be read now: what is begun is judged again."""
        try:
            return await self.service.accounts.presets(t.requester(where, t.Person()))
        except Exception as error:
            log.info("slack_presets_unread", error=(await self.known(error)).code)
            return PRESETS

    def text_is_parameters(self, text: str, presets: Presets = PRESETS) -> bool:
        """Whether these words are parameters and nothing else (somebody's message may say anything)."""
        try:
            self.service.check(text, {}, presets)
        except InvalidParameters:
            return False
        return True


def _in_thread(order: Order) -> Where:
    return replace(order.where, thread_ts=order.thread_ts) if order.thread_ts else order.where
