"""From files and words to jobs: the same for every way in. Acknowledgements are long over when this runs.

Decides nothing about parameters or pictures: it asks the core and tells its answer.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from adapters.slack.connection.task_group import Tasks
from adapters.slack.inbound import translate as t
from adapters.slack.inbound.translate import Where
from adapters.slack.inbound.user_cache import ASK_TIMEOUT_S, UserCache
from adapters.slack.outbound.ephemeral import Answers
from core.domain.errors import InvalidParameters, NoImage
from core.domain.job import Requester, Source, UpscaleRequest
from core.domain.parameters.grammar import parse
from core.domain.parameters.ordinary_words import without_ordinary_words
from core.domain.parameters.spec import PRESETS, Presets
from core.jobs.service import JobService
from core.ports import AppState
from core.presentation.cards.batch import left_out_text

log = structlog.get_logger(__name__)

MAX_PICTURES = 10
ASK_BEFORE_STORING_S = 1.5
"""Name, language and rights of somebody new; where Slack does not tell in time, the job goes on without, in English.

Leaves a second of Slack's three to store the job; an event that is not stored by then comes again.
"""
ANSWERED_AREA = "slack.answered"
ANSWERED_FOR_S = 86_400.0

Fields = Mapping[str, str | int | float | bool]


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


@dataclass(frozen=True, slots=True)
class Intake:
    """Makes jobs of orders. `own_hosts` (host[:port]) serve Slack's files."""

    service: JobService
    people: UserCache
    answers: Answers
    state: AppState
    tasks: Tasks
    own_hosts: Collection[str] = ()

    async def actor(self, where: Where, *, at_most_s: float = ASK_TIMEOUT_S) -> Requester:
        person = await self.people.get(where.team, where.user_id, at_most_s=at_most_s)
        return t.requester(where, person)

    async def take(self, order: Order) -> None:
        """Start a job for every picture, or say why not."""
        actor = await self.actor(order.where, at_most_s=ASK_BEFORE_STORING_S)
        try:
            presets = await self.service.accounts.presets(actor)
            if order.spoken:
                order = replace(order, text=without_ordinary_words(order.text, presets))
            sources, private = self._sources(order, presets)
            if not sources:
                raise NoImage
            for item, source in sources[:MAX_PICTURES]:
                await self.service.request(self._request(order, actor, item, source, private))
            if said := left_out_text(min(len(sources), MAX_PICTURES), len(sources), (), actor.locale):
                self.tasks.spawn("left_out", self.tell_once(order, lambda _: said))
        except Exception as error:
            self.tasks.spawn("explain", self._explain(order, error, actor.locale))

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
        await self.answers.error(_in_thread(order), error, locale)

    async def tell_once(self, order: Order, text: Callable[[str], str]) -> None:
        """Tell the member what `text` says in their language, even where the same event comes again."""
        if not order.may_come_again or await self.claimed(f"{order.where.team_id}:{order.event}"):
            actor = await self.actor(order.where)
            await self.answers.tell(_in_thread(order), text(actor.locale))

    async def tell_limit(self, where: Where, most: int, total: int) -> None:
        """A form cannot offer all of a message's pictures."""
        actor = await self.actor(where)
        await self.answers.tell(where, left_out_text(most, total, (), actor.locale, offered=True))

    async def claimed(self, key: str) -> bool:
        """Whether nobody has answered this yet. Rather said twice than not at all: the database may be what is away."""
        try:
            return await self.state.claim(ANSWERED_AREA, key, ttl_s=ANSWERED_FOR_S)
        except Exception as error:
            log.info("slack_answer_not_claimed", error=(await self.answers.known(error)).code)
            return True

    async def presets(self, where: Where) -> Presets:
        """Those that the member may name; everybody's where they cannot be read now: what is begun is judged again."""
        try:
            return await self.service.accounts.presets(t.requester(where, t.Person()))
        except Exception as error:
            log.info("slack_presets_unread", error=(await self.answers.known(error)).code)
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
