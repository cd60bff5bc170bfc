"""Where every interaction is handled: once, counted for the drain, and with every failure said in plain words."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import discord
import structlog
from discord import app_commands

from adapters.discord.connection.ack_priority import AckPriority
from adapters.discord.inbound import translate
from adapters.discord.inbound.interaction_response import Answer, Commits, InteractionLost, Response, no_ack
from adapters.discord.inbound.message_images import ImageSelection
from adapters.discord.inbound.translate import Interaction
from adapters.discord.outbound import errors
from adapters.discord.outbound.api_client import ApiClient
from adapters.discord.outbound.delivery_state import Address, JobMessageStore
from core.domain.errors import DeliveryUnavailable, Draining, UpscaleError
from core.domain.job import Job, Requester, UpscaleRequest
from core.domain.parameters.spec import Presets
from core.net.retry import Backoff, retry
from core.ports import AdapterContext
from core.presentation import notice_card, notice_without_job, plain_card
from core.presentation.texts.operator_texts import admission_question
from core.presentation.texts.request_texts import outdated_command_text

log = structlog.get_logger(__name__)

T = TypeVar("T")
MAX_SEEN = 10_000
"""Interaction ids kept to drop a second delivery in this process; more than arrive in 15 minutes on one process."""

OPERATOR_QUESTION_DELAY_S = 4.0
"""A further message that comes before the first edit of a deferred answer takes its place: the job's goes first."""

HANDLER_TIMEOUT_S = 600.0
ERROR_BACKOFF, ERROR_ATTEMPTS = Backoff(first_s=2.0, cap_s=60.0), 7
"""About two minutes; the token of an interaction lives for 15."""

CHANNEL_LOOKUP_TIMEOUT_S = 1.0
"""How long a look at the channel of a thread may take; without an answer the safety check stays on."""


class HandlerContext:
    """Shared by all entry points: the core, the REST calls, and what is being handled right now."""

    def __init__(self, context: AdapterContext, rest: ApiClient) -> None:
        self.service = context.service
        self.media = context.media
        self.state = context.state
        self.clock = context.clock
        self.allowlist = context.allowlist
        self.rest = rest
        self.job_messages = JobMessageStore(context.state, context.clock)
        self.commits = Commits()
        self._ack_priority = AckPriority()
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._tasks: set[asyncio.Task[object]] = set()

    async def run(self, interaction: Interaction, work: Callable[[Answer], Awaitable[None]]) -> None:
        """Handle one interaction; never raises but for a cancellation."""
        self._ack_priority.arrived(interaction.id)
        try:
            answer = Answer(interaction, self.rest, self.clock, self._ack_priority)
            await self.handle(answer, lambda: work(answer))
        finally:
            self._ack_priority.answered(interaction.id)

    async def handle_failure(self, interaction: Interaction, error: Exception) -> None:
        """Tell whoever sent what no handler could begin with.

        A client keeps the commands of before an update until it is started anew.
        """
        if isinstance(error, (app_commands.CommandNotFound, app_commands.CommandSignatureMismatch)):
            log.info("command_outdated", why=type(error).__name__)
            await self.run(interaction, lambda answer: answer.show(plain_card(outdated_command_text(answer.locale))))
            return

        async def raised(_: Answer) -> None:
            raise error

        await self.run(interaction, raised)

    async def defer_if_slow(self, answer: Answer, work: Coroutine[Any, Any, T]) -> T:
        """What the core says, in time for a private answer. Raises StorageUnavailable where it says nothing."""
        return await self.commits.before_ack(work, lambda: answer.acknowledge(ephemeral=True), ack_only_if_slow=True)

    async def presets(self, actor: Requester) -> Presets:
        """Those that somebody may name; nothing that is acknowledged. Raises StorageUnavailable."""
        return await self.commits.before_ack(self.service.accounts.presets(actor), no_ack)

    async def handle(self, answer: Response, work: Callable[[], Awaitable[None]]) -> None:
        """Handle one event, once; never raises but for a cancellation."""
        if not self._is_new(answer.id):
            log.info("event_repeated", interaction=answer.id)
            return
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            await self._guarded(answer, work)
        finally:
            if task is not None:
                self._tasks.discard(task)

    async def _guarded(self, answer: Response, work: Callable[[], Awaitable[None]]) -> None:
        try:
            if self.service.draining:
                raise Draining
            async with asyncio.timeout(HANDLER_TIMEOUT_S):
                await work()
        except InteractionLost:
            return
        except discord.HTTPException as error:
            if errors.is_token_dead(error) or errors.is_message_gone(error):
                log.info("interaction_unanswered", interaction=answer.id, code=error.code)
                return
            log.info("interaction_refused", interaction=answer.id, code=error.code, status=error.status)
            await self.show_error(answer, errors.to_member_error(error))
        except errors.FAILED_CALLS as error:
            log.warning("interaction_broke", interaction=answer.id, why=type(error).__name__)
            await self.show_error(answer, errors.to_member_error(error))
        except Exception as error:
            await self.show_error(answer, await self.service.incidents.unforeseen("discord", error))

    async def show_error(self, answer: Response, error: UpscaleError) -> None:
        """Say what is wrong; privately wherever the answer has not begun in public.

        Tried again while Discord takes nothing: whoever pressed or typed something is left with "thinking" otherwise.
        """
        told = self.service.notice(error, answer.locale)
        card = notice_card(told if answer.starts_job else notice_without_job(told, error, answer.locale), answer.locale)

        def pause_s(failure: Exception, attempt: int) -> float | None:
            if not isinstance(failure, DeliveryUnavailable):
                return None
            return ERROR_BACKOFF.pause_s(attempt, failure.retry_after_s)

        try:
            await retry(lambda: answer.show(card), clock=self.clock, pause=pause_s, attempts=ERROR_ATTEMPTS)
        except InteractionLost:
            return
        except errors.FAILED_CALLS as failure:
            log.warning("refusal_not_shown", interaction=answer.id, why=type(failure).__name__)

    async def start_jobs(
        self,
        answer: Response,
        menu: ImageSelection,
        acknowledge: Callable[[], Awaitable[None]],
        *,
        shown: Callable[[], Awaitable[None]],
        first_in_original: bool = True,
    ) -> None:
        """One job per picture: written first, then acknowledged, then begun. `shown` comes before they begin.

        The first refusal is the answer itself; later ones are said beside it.
        """
        where = answer.address()
        private = menu.private or where.ephemeral
        made = translate.requests(
            answer.actor,
            answer.key,
            replace(menu, private=private),
            replace(where, ephemeral=private),
            first_in_original=first_in_original,
            unsafe_place=await self._is_age_restricted(answer, menu),
        )
        written = await self._commit_jobs(self._write_rows(made), acknowledge)
        try:
            await shown()
        except errors.FAILED_CALLS as error:
            log.warning("total_not_shown", interaction=answer.id, code=errors.code_of(error))
        for index, job in enumerate(written):
            if isinstance(job, Job):
                part = translate.address_of_job(answer.address(), index, first_in_original=first_in_original)
                await self._begin(job, part)
            else:
                await answer.follow_up(notice_card(self.service.notice(job, answer.locale), answer.locale))
        if isinstance(answer, Answer):
            await self._ask_operator(answer)

    async def _commit_jobs(
        self, work: Coroutine[Any, Any, list[Job | UpscaleError]], acknowledge: Callable[[], Awaitable[None]]
    ) -> list[Job | UpscaleError]:
        """Written first, then acknowledged; to be begun by the caller.

        Where Discord refuses the acknowledgement they begin here: they find that nobody is answered, and end at once.
        """
        made: list[Job | UpscaleError] = []

        async def note() -> list[Job | UpscaleError]:
            made.extend(await work)
            return made

        try:
            return await self.commits.before_ack(note(), acknowledge)
        except Exception as error:
            if not (isinstance(error, InteractionLost) and error.taken):
                for job in made:
                    if isinstance(job, Job):
                        await self._begin(job, Address.from_reply(job.reply))
            raise

    async def _write_rows(self, made: Sequence[UpscaleRequest]) -> list[Job | UpscaleError]:
        written: list[Job | UpscaleError] = [await self.service.request(made[0], start=False)]
        for request in made[1:]:
            try:
                written.append(await self.service.request(request, start=False))
            except UpscaleError as error:
                written.append(error)
        return written

    async def start_job(
        self, answer: Response, work: Coroutine[Any, Any, Job], acknowledge: Callable[[], Awaitable[None]]
    ) -> Job:
        """One job of a press: written, acknowledged, begun."""

        async def alone() -> list[Job | UpscaleError]:
            return [await work]

        [job] = await self._commit_jobs(alone(), acknowledge)
        assert isinstance(job, Job)
        await self._begin(job, answer.address())
        return job

    async def _begin(self, job: Job, where: Address) -> None:
        """Let a written job go on; where that fails now, the core picks it up by itself."""
        try:
            await self.service.begin(job.id, where.to_reply())
        except Exception as error:
            await self.service.incidents.unforeseen("discord", error)
        log.info("job_requested", job=job.id, interaction=where.interaction_id)

    async def _ask_operator(self, answer: Answer) -> None:
        """Whether this server's members may use the bot too; privately, when its operator uses it here."""
        actor = answer.actor
        known = await self.allowlist.question_for(actor) if self.allowlist is not None else None
        if known is not None:
            await self.clock.sleep(OPERATOR_QUESTION_DELAY_S)
            notice = admission_question(known.place, known.name, "", actor.locale)
            await answer.follow_up(notice_card(notice, actor.locale))

    async def _is_age_restricted(self, answer: Response, menu: ImageSelection) -> bool:
        """Asks Discord where the event does not say, but only when somebody wants the safety check off there."""
        known = answer.age_restricted
        if known is not None or ("safety" not in menu.fields and "safety" not in menu.text.lower()):
            return bool(known)
        try:
            async with asyncio.timeout(CHANNEL_LOOKUP_TIMEOUT_S):
                return await self.rest.is_age_restricted(answer.address().channel_id)
        except errors.FAILED_CALLS:
            return False

    def _is_new(self, interaction_id: int) -> bool:
        if interaction_id in self._seen:
            return False
        self._seen[interaction_id] = None
        while len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
        return True

    async def drain(self, timeout_s: float) -> None:
        """Let what is being handled end, at most this long; then it is cancelled."""
        busy = {task for task in self._tasks if task is not asyncio.current_task()}
        if not busy:
            return
        _, late = await asyncio.wait(busy, timeout=timeout_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.gather(*late, return_exceptions=True)
