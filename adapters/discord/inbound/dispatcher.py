"""Handles every interaction and message exactly once, turns each error into a card, and drains at shutdown."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import structlog
from discord import app_commands

from adapters.discord.connection.ack_priority import AckPriority
from adapters.discord.inbound import translate
from adapters.discord.inbound.interaction_response import Answer, Commits, InteractionLost, Response
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
"""Ids kept to drop a second delivery in this process; more than arrive at one process in 15 minutes."""

OPERATOR_QUESTION_DELAY_S = 4.0
"""A follow-up that precedes the first edit of a deferred response replaces it, so the job's message goes first."""

HANDLER_TIMEOUT_S = 600.0
ERROR_BACKOFF, ERROR_ATTEMPTS = Backoff(first_s=2.0, cap_s=60.0), 7
"""About two minutes in all; an interaction token is valid for 15."""

CHANNEL_LOOKUP_TIMEOUT_S = 1.0
"""Without an answer in this time the safety check stays on."""


class HandlerContext:
    """What all handlers share: the core, the REST client, and the events that are being handled."""

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
        self._seen: dict[int, None] = {}
        self._tasks: set[asyncio.Task[object]] = set()

    async def run(self, interaction: Interaction, work: Callable[[Answer], Awaitable[None]]) -> None:
        """Handle one interaction; raises only CancelledError."""
        self._ack_priority.arrived(interaction.id)
        try:
            answer = Answer(interaction, self.rest, self.clock, self._ack_priority)
            await self.handle(answer, lambda: work(answer))
        finally:
            self._ack_priority.answered(interaction.id)

    async def handle_failure(self, interaction: Interaction, error: Exception) -> None:
        """Answer an interaction that failed before its handler ran.

        A client shows the commands from before an update, and their choices, until it is restarted.
        """
        if isinstance(error, app_commands.AppCommandError):
            log.info("command_outdated", why=type(error).__name__)
            await self.run(interaction, lambda answer: answer.show(plain_card(outdated_command_text(answer.locale))))
            return

        async def raised(_: Answer) -> None:
            raise error

        await self.run(interaction, raised)

    async def defer_if_slow(self, answer: Answer, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; acknowledges with an ephemeral message when it is slow. Raises StorageUnavailable."""
        return await self.commits.before_ack(work, lambda: answer.acknowledge(ephemeral=True), ack_only_if_slow=True)

    async def presets(self, actor: Requester) -> Presets:
        """The presets that this user may name, read before any acknowledgement. Raises StorageUnavailable."""
        return await self.commits.before_ack(self.service.accounts.presets(actor))

    async def handle(self, answer: Response, work: Callable[[], Awaitable[None]]) -> None:
        """Handle one event, once; raises only CancelledError."""
        if not self._is_new(answer.id):
            log.info("event_repeated", interaction=answer.id)
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._guarded(answer, work)
        finally:
            self._tasks.discard(task)

    async def _guarded(self, answer: Response, work: Callable[[], Awaitable[None]]) -> None:
        try:
            if self.service.draining:
                raise Draining
            async with asyncio.timeout(HANDLER_TIMEOUT_S):
                await work()
        except InteractionLost:
            return
        except errors.FAILED_CALLS as error:
            code = errors.code_of(error)
            if errors.is_token_dead(error) or errors.is_message_gone(error):
                log.info("interaction_unanswered", interaction=answer.id, code=code)
                return
            log.warning("interaction_failed", interaction=answer.id, why=type(error).__name__, code=code)
            await self.show_error(answer, errors.to_member_error(error))
        except Exception as error:
            await self.show_error(answer, await self.service.incidents.unforeseen("discord", error))

    async def show_error(self, answer: Response, error: UpscaleError) -> None:
        """Show the error, in an ephemeral message unless the response is already public.

        Retried while Discord is unavailable, because the member would be left with "thinking" otherwise.
        """
        notice = self.service.notice(error, answer.locale)
        if not answer.starts_job:
            notice = notice_without_job(notice, error, answer.locale)
        card = notice_card(notice, answer.locale)

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
        wanted: Sequence[UpscaleRequest],
        acknowledge: Callable[[], Awaitable[None]],
        *,
        shown: Callable[[], Awaitable[None]],
        first_in_original: bool = True,
    ) -> None:
        """Create one job per picture: write the rows, acknowledge, await `shown`, start the jobs.

        An error of the first is raised; those of later ones are sent as follow-ups.
        """
        private = wanted[0].private or answer.address().ephemeral
        address = replace(answer.address(), ephemeral=private)
        asks = "safety" in wanted[0].fields or "safety" in wanted[0].text.lower()
        unsafe_place = await self.is_age_restricted(answer) if asks else bool(answer.age_restricted)
        requests = [
            replace(
                each,
                private=private,
                unsafe_place=unsafe_place,
                reply=translate.address_of_job(address, index, first_in_original=first_in_original).to_reply(),
            )
            for index, each in enumerate(wanted)
        ]
        writes = [partial(self.service.request, request, start=False) for request in requests]
        committed = await self._commit_jobs(writes, acknowledge)
        try:
            await shown()
        except errors.FAILED_CALLS as error:
            log.warning("total_not_shown", interaction=answer.id, code=errors.code_of(error))
        for index, job in enumerate(committed):
            if isinstance(job, Job):
                part = translate.address_of_job(answer.address(), index, first_in_original=first_in_original)
                await self._begin(job, part)
            else:
                await answer.follow_up(notice_card(self.service.notice(job, answer.locale), answer.locale))
        if isinstance(answer, Answer):
            await self._ask_operator(answer)

    async def _commit_jobs(
        self, writes: Sequence[Callable[[], Awaitable[Job]]], acknowledge: Callable[[], Awaitable[None]]
    ) -> list[Job | UpscaleError]:
        """Write the jobs' rows, then acknowledge; the caller starts the jobs. Raises the error of the first.

        When Discord refuses the acknowledgement they are started here: they find no response, and end at once.
        """
        committed: list[Job | UpscaleError] = []

        async def write_all() -> None:
            written: list[Job | UpscaleError] = [await writes[0]()]
            for write in writes[1:]:
                try:
                    written.append(await write())
                except UpscaleError as error:
                    written.append(error)
            committed.extend(written)

        try:
            await self.commits.before_ack(write_all(), acknowledge)
        except Exception as error:
            if not (isinstance(error, InteractionLost) and error.taken):
                for job in committed:
                    if isinstance(job, Job):
                        await self._begin(job, Address.from_reply(job.reply))
            if committed and isinstance(error, errors.FAILED_CALLS):
                # An error message would become the response that the jobs look for, and they would run.
                log.warning("acknowledgement_refused", code=errors.code_of(error))
                raise InteractionLost from error
            raise
        return committed

    async def start_job(
        self, answer: Response, write: Callable[[], Awaitable[Job]], acknowledge: Callable[[], Awaitable[None]]
    ) -> Job:
        """Write the one job of a button, acknowledge, and start it."""
        [job] = await self._commit_jobs([write], acknowledge)
        assert isinstance(job, Job)
        await self._begin(job, answer.address())
        return job

    async def _begin(self, job: Job, address: Address) -> None:
        """Start a written job; if that fails, the core's maintenance starts it later."""
        try:
            await self.service.begin(job.id, address.to_reply())
        except Exception as error:
            await self.service.incidents.unforeseen("discord", error)
        log.info("job_requested", job=job.id, interaction=address.interaction_id)

    async def _ask_operator(self, answer: Answer) -> None:
        """Ask the operator, when they use the bot in a new server, whether its members may use it too."""
        actor = answer.actor
        known = await self.allowlist.question_for(actor) if self.allowlist is not None else None
        if known is not None:
            await self.clock.sleep(OPERATOR_QUESTION_DELAY_S)
            notice = admission_question(known.place, known.name, "", actor.locale)
            await answer.follow_up(notice_card(notice, actor.locale))

    async def is_age_restricted(self, answer: Response) -> bool:
        """Whether the channel is age-restricted; asks Discord if the event does not say. For the safety check only."""
        if answer.age_restricted is not None:
            return answer.age_restricted
        try:
            async with asyncio.timeout(CHANNEL_LOOKUP_TIMEOUT_S):
                actor = answer.actor
                return await self.rest.is_age_restricted(int(actor.parent_channel_id or actor.channel_id))
        except errors.FAILED_CALLS:
            return False

    def _is_new(self, interaction_id: int) -> bool:
        if interaction_id in self._seen:
            return False
        self._seen[interaction_id] = None
        if len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        return True

    async def drain(self, timeout_s: float) -> None:
        """Wait for the running handlers, and cancel those that take longer."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
