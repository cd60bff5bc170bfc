"""What happens on a click: the buttons of SPEC 5, confirmation, cancellation, choices. The core decides who may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import structlog

from adapters.discord.inbound.account_commands import OwnCommands
from adapters.discord.inbound.context_menus import Menus
from adapters.discord.inbound.dispatcher import HandlerContext
from adapters.discord.inbound.forms import PREFIX as MODAL_PREFIX
from adapters.discord.inbound.interaction_response import Answer
from adapters.discord.inbound.moderator_commands import QueueCommand
from adapters.discord.inbound.translate import Interaction
from adapters.discord.outbound import errors
from adapters.discord.outbound.payload import Payload
from adapters.discord.outbound.reply_address import TOKEN_LIFE_S
from adapters.discord.outbound.upload import file_name
from adapters.discord.views.card import draw
from core.domain.errors import JobNotFound
from core.domain.job import JobState
from core.domain.variations import CHANGES
from core.ports import Change, Verdict
from core.presentation.cards.details import comparison, details, repeat_words
from core.presentation.cards.notice import said
from core.presentation.ending_texts import deleted_text, not_removed_text
from core.presentation.job_texts import cancel_pending_text
from core.presentation.place_texts import decided

log = structlog.get_logger(__name__)


class Buttons:
    """The router of `controls`, and of modals."""

    def __init__(self, ctx: HandlerContext, menus: Menus, own: OwnCommands, queue: QueueCommand) -> None:
        self._queue = queue
        self._ctx = ctx
        self._menus = menus
        self._own = own

    async def button(self, interaction: Interaction, action: str, subject: str, argument: str) -> None:
        """One click on a button."""
        await self._ctx.run(interaction, lambda answer: self._clicked(answer, action, subject, argument))

    async def select(self, interaction: Interaction, action: str, subject: str, values: Sequence[str]) -> None:
        await self._ctx.run(interaction, lambda answer: self._selected(answer, action, subject, values))

    async def modal(self, interaction: Interaction) -> None:
        """A submitted form; forms that are not ours are left alone."""
        data = cast(dict[str, object], interaction.data or {})
        custom_id = str(data.get("custom_id", ""))
        if custom_id.startswith(MODAL_PREFIX):
            key = custom_id.removeprefix(MODAL_PREFIX)
            await self._ctx.run(interaction, lambda answer: self._menus.submitted(answer, key, data))

    async def _clicked(self, answer: Answer, action: str, subject: str, argument: str) -> None:
        if action in CHANGES:
            await self._repeat(answer, subject, Change.of(action, argument))
            return
        ways: dict[str, Callable[[Answer, str], Awaitable[None]]] = {
            "confirm": self._confirm,
            "cancel": self._cancel,
            "compare": self._compare,
            "details": self._details,
            "delete": self._delete,
            "redeliver": self._redeliver,
            "all": self._all,
            "erase": self._own.erase,
            "admit": partial(self._decide, "admit"),
            "refuse": partial(self._decide, "refuse"),
        }
        way = ways.get(action)
        if way is None:
            raise JobNotFound
        await way(answer, subject)

    async def _decide(self, verdict: Verdict, answer: Answer, place: str) -> None:
        """The operator's answer to the question whose guests they pay for."""
        actor = answer.actor
        if self._ctx.guests is None:
            raise JobNotFound
        known = await self._ctx.commits.first(self._ctx.guests.decide(actor, place, verdict), answer.hold)
        words = decided(known.place, known.name, actor.locale, admitted=known.state == "admitted")
        await answer.update(Payload(lambda _: draw(said(words))))

    async def _selected(self, answer: Answer, action: str, subject: str, values: Sequence[str]) -> None:
        if action == "pick":
            await self._menus.choose(answer, subject, [int(v) for v in values if v.isdigit()])
        elif action == "redeliver" and values:
            await self._redeliver(answer, values[0])
        elif action == "cancel" and values:
            await self._queue.cancel(answer, values[0])
        else:
            raise JobNotFound

    async def _all(self, answer: Answer, subject: str) -> None:
        await self._menus.choose(answer, subject, None)

    async def _confirm(self, answer: Answer, job_id: str) -> None:
        interaction = answer.interaction
        await self._ctx.commits.first(self._ctx.service.confirm(job_id, answer.actor), answer.hold)
        # The job begins only now, up to ten minutes after its token: this click's token is good for 15 more.
        expires_at = interaction.created_at.timestamp() + TOKEN_LIFE_S
        await self._ctx.tokens.keep(job_id, interaction.token, expires_at)

    async def _cancel(self, answer: Answer, job_id: str) -> None:
        job = await self._ctx.commits.first(self._ctx.service.cancel(job_id, answer.actor), answer.hold)
        if job.state is JobState.RUNNING:
            words = cancel_pending_text(answer.locale)
            await answer.whisper(Payload(lambda _: draw(said(words))))

    async def _repeat(self, answer: Answer, job_id: str, change: Change) -> None:
        where = answer.address()
        written = self._ctx.service.repeat(
            job_id,
            answer.actor,
            change,
            key=answer.key,
            reply=where.to_reply(),
            private=True if where.ephemeral else None,
            start=False,
        )
        job = await self._ctx.commits.first(written, lambda: answer.think(ephemeral=where.ephemeral))
        await self._ctx.begin(answer, job)

    async def _compare(self, answer: Answer, job_id: str) -> None:
        job = await self._ctx.soon(answer, self._ctx.service.job(job_id, answer.actor))
        await answer.acknowledge(ephemeral=True)
        picture = await self._ctx.media.compare(job)
        name = file_name(job, picture, "compare")
        await self._beside(answer, job_id)
        card = comparison(job, answer.locale, rows=picture.rows)
        await answer.show(Payload(lambda _: draw(card, {"comparison": name}), ((picture.path, name),)))

    async def _details(self, answer: Answer, job_id: str) -> None:
        job = await self._ctx.soon(answer, self._ctx.service.job(job_id, answer.actor))
        card = details(job, answer.locale, command="/upscale " + repeat_words(job, ":", "False"))
        await self._beside(answer, job_id)
        await answer.show(Payload(lambda _: draw(card)))

    async def _beside(self, answer: Answer, job_id: str) -> None:
        """Remember an answer that shows something of the job, so that Delete takes it along."""
        interaction = answer.interaction
        expires_at = interaction.created_at.timestamp() + TOKEN_LIFE_S
        entry = {"app_id": interaction.application_id, "token": interaction.token, "expires_at": expires_at}
        await self._ctx.beside.add(job_id, entry)

    async def _take_along(self, job_id: str) -> None:
        for one in await self._ctx.beside.take(job_id):
            remove = (
                self._ctx.rest.remove_answer(one["app_id"], one["token"])
                if "token" in one
                else self._ctx.rest.remove(one["channel_id"], one["message_id"])
            )
            try:
                await remove
            except errors.FAILED_CALLS as error:
                log.info("other_message_not_deleted", job=job_id, code=errors.code_of(error))

    async def _delete(self, answer: Answer, job_id: str) -> None:
        await self._ctx.commits.first(self._ctx.service.job(job_id, answer.actor), answer.hold)
        await self._ctx.service.delete(job_id, answer.actor)
        locale = answer.locale
        words = deleted_text(locale)
        try:
            await answer.remove()
        except errors.FAILED_CALLS as error:
            if not errors.is_message_gone(error):
                log.info("message_not_deleted", job=job_id, code=errors.code_of(error))
                await self._empty(answer, words)
                words = not_removed_text(locale)
        await self._take_along(job_id)
        await answer.whisper(Payload(lambda _: draw(said(words))))

    async def _empty(self, answer: Answer, words: str) -> None:
        """Leave only words in a message that Discord does not let us take away."""
        try:
            await answer.update(Payload(lambda _: draw(said(words))))
        except errors.FAILED_CALLS as error:
            log.info("message_not_emptied", code=errors.code_of(error))

    async def _redeliver(self, answer: Answer, job_id: str) -> None:
        reply = replace(answer.address(), ephemeral=True).to_reply()
        written = self._ctx.service.redeliver(job_id, answer.actor, reply=reply, start=False)
        job = await self._ctx.commits.first(written, lambda: answer.think(ephemeral=True))
        await self._beside(answer, job.parent_id)
        await self._ctx.begin(answer, job)
