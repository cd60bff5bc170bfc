"""Handles buttons, selects and submitted modals. The core decides who may use them."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import structlog

from adapters.discord.inbound.account_commands import AccountCommands
from adapters.discord.inbound.dispatcher import HandlerContext
from adapters.discord.inbound.interaction_response import Answer
from adapters.discord.inbound.moderator_commands import ModeratorCommands
from adapters.discord.inbound.translate import Interaction
from adapters.discord.inbound.upscale_commands import MODAL_PREFIX, UpscaleCommands, numbers_of
from adapters.discord.outbound import errors
from adapters.discord.outbound.delivery_state import TOKEN_TTL_S, SentMessage
from adapters.discord.outbound.job_message import file_name
from adapters.discord.outbound.payload import payload_of
from adapters.discord.views.card import has_component, parse_press
from core.domain.errors import JobNotFound
from core.domain.identity import check_may_stop
from core.domain.job import JobState
from core.domain.variations import CHANGES
from core.ports import Change, TypedState, Verdict
from core.presentation import Card, confirmation_card, place_decision_card, plain_card, share_link_card
from core.presentation.cards.details import comparison, details, repeat_words
from core.presentation.cards.job import delete_action
from core.presentation.texts.delivery_texts import deleted_copy_text, deleted_text, not_removed_text
from core.presentation.texts.progress_texts import cancel_pending_text

log = structlog.get_logger(__name__)
_STARTING_ACTIONS = ("confirm", "pick", "all")


class Actions:
    def __init__(
        self, ctx: HandlerContext, upscale: UpscaleCommands, own: AccountCommands, moderators: ModeratorCommands
    ) -> None:
        self._ctx = ctx
        self._upscale = upscale
        self._delete_prompts = TypedState(ctx.state, "discord-delete", SentMessage, ttl_s=TOKEN_TTL_S)
        self._button_handlers: dict[str, Callable[[Answer, str], Awaitable[None]]] = {
            "confirm": self._confirm,
            "cancel": self._cancel,
            "compare": self._compare,
            "details": self._details,
            "delete": self._ask_delete,
            "share": self._share,
            "redeliver": self._redeliver,
            "all": partial(upscale.choose, picked=None),
            "erase": own.erase,
            "admit": partial(self._decide, "admit"),
            "refuse": partial(self._decide, "refuse"),
        }
        self._select_handlers = {"redeliver": self._redeliver, "cancel": moderators.cancel}

    async def handle(self, interaction: Interaction) -> None:
        await self._ctx.run(interaction, self._dispatch)

    async def _dispatch(self, answer: Answer) -> None:
        data = cast(dict[str, Any], answer.interaction.data or {})
        custom_id = str(data.get("custom_id", ""))
        press = parse_press(data)
        answer.starts_job = press is None or press.action in (*CHANGES, *_STARTING_ACTIONS)
        if custom_id.startswith(MODAL_PREFIX):
            await self._upscale.submit_modal(answer, custom_id.removeprefix(MODAL_PREFIX), data)
        elif press is None or not has_component(answer.interaction.message, custom_id):
            raise JobNotFound
        elif press.action == "pick":
            await self._upscale.choose(answer, press.subject, numbers_of(press.values))
        elif press.values and press.action in self._select_handlers:
            await self._select_handlers[press.action](answer, press.values[0])
        elif press.action == "delete" and press.argument:
            await self._delete(answer, press.subject, press.argument)
        elif press.action in CHANGES:
            await self._repeat(answer, press.subject, Change.of(press.action, press.argument))
        elif not press.values and press.action in self._button_handlers:
            await self._button_handlers[press.action](answer, press.subject)
        else:
            raise JobNotFound

    async def _decide(self, verdict: Verdict, answer: Answer, place: str) -> None:
        """The operator's answer to the question whether a server's members may use the bot."""
        actor = answer.actor
        if self._ctx.allowlist is None:
            raise JobNotFound
        known = await self._ctx.commits.before_ack(
            self._ctx.allowlist.decide(actor, place, verdict), answer.defer_update
        )
        await answer.update(place_decision_card(known, actor.locale))

    async def _confirm(self, answer: Answer, job_id: str) -> None:
        await self._ctx.commits.before_ack(self._ctx.service.confirm(job_id, answer.actor), answer.defer_update)
        # The job starts up to ten minutes after its own token was issued; this click's is valid for 15 more.
        await self._ctx.job_messages.save_token(job_id, answer.sent_message)

    async def _cancel(self, answer: Answer, job_id: str) -> None:
        job = await self._ctx.commits.before_ack(self._ctx.service.cancel(job_id, answer.actor), answer.defer_update)
        if job.state is JobState.RUNNING:
            await answer.follow_up(plain_card(cancel_pending_text(answer.locale)))

    async def _repeat(self, answer: Answer, job_id: str, change: Change) -> None:
        where = answer.address()
        write = partial(
            self._ctx.service.repeat,
            job_id,
            answer.actor,
            change,
            key=answer.key,
            reply=where.to_reply(),
            private=True if where.ephemeral else None,
            allows_unsafe=partial(self._ctx.is_age_restricted, answer),
            start=False,
        )
        await self._ctx.start_job(answer, write, lambda: answer.defer(ephemeral=where.ephemeral))

    async def _compare(self, answer: Answer, job_id: str) -> None:
        job = await self._ctx.defer_if_slow(answer, self._ctx.service.job(job_id, answer.actor))
        await answer.acknowledge(ephemeral=True)
        picture = await self._ctx.media.compare(job)
        await self._remember_message(answer, job.id)
        card = comparison(job, answer.locale, rows=picture.rows)
        await answer.show(card, {"comparison": (picture.path, file_name(job, picture, "compare"))})

    async def _details(self, answer: Answer, job_id: str) -> None:
        job = await self._ctx.defer_if_slow(answer, self._ctx.service.job(job_id, answer.actor))
        await self._remember_message(answer, job.id)
        await answer.show(details(job, answer.locale, command="/upscale " + repeat_words(job, ":", "False")))

    async def _remember_message(self, answer: Answer, job_id: str) -> None:
        """Remember a response that shows something of the job, so that Delete removes it too."""
        await self._ctx.job_messages.add_message(job_id, answer.sent_message)

    async def _share(self, answer: Answer, job_id: str) -> None:
        url = await self._ctx.defer_if_slow(answer, self._ctx.service.share(job_id, answer.actor))
        await answer.show(share_link_card(url, answer.locale))

    async def _ask_delete(self, answer: Answer, job_id: str) -> None:
        """Ask for confirmation. The token of this click can delete the job's message once it is confirmed."""
        prompt_id = str(answer.id)

        async def save_prompt() -> None:
            check_may_stop(await self._ctx.service.job(job_id, answer.actor), answer.actor)
            await self._delete_prompts.put(f"{job_id}:{prompt_id}", answer.sent_message)

        await self._ctx.commits.before_ack(save_prompt(), answer.defer_update)
        await answer.follow_up(confirmation_card(delete_action(job_id, answer.locale), prompt_id))

    async def _delete(self, answer: Answer, job_id: str, prompt_id: str) -> None:
        await self._ctx.commits.before_ack(self._ctx.service.job(job_id, answer.actor), answer.defer_update)
        deleted = await self._ctx.service.delete(job_id, answer.actor)
        words = (deleted_text if deleted.id == job_id else deleted_copy_text)(answer.locale)
        shown = await self._delete_prompts.get(f"{job_id}:{prompt_id}")
        if shown is None or not await self._remove_message(shown, plain_card(words)):
            words = not_removed_text(answer.locale)
        for shown_id in dict.fromkeys((job_id, deleted.id)):  # of a redelivery, and of the job itself
            for one in await self._ctx.job_messages.take_messages(shown_id):
                await self._remove_message(one)
        await answer.update(plain_card(words))

    async def _remove_message(self, shown: SentMessage, words: Card | None = None) -> bool:
        """Delete a message; return whether it is gone. One that cannot be deleted is edited to show only `words`."""
        rest = self._ctx.rest
        try:
            if shown.token:
                await rest.delete_answer(shown.app_id, shown.token)
            else:
                await rest.delete_message(shown.channel_id, shown.message_id)
            return True
        except errors.FAILED_CALLS as error:
            log.info("message_not_deleted", code=errors.code_of(error))
            if errors.is_message_gone(error):
                return True
        try:
            if words is not None:
                await rest.edit_answer(shown.app_id, shown.token, "@original", payload_of(words))
        except errors.FAILED_CALLS as error:
            log.info("message_not_emptied", code=errors.code_of(error))
        return False

    async def _redeliver(self, answer: Answer, job_id: str) -> None:
        reply = replace(answer.address(), ephemeral=True).to_reply()
        write = partial(self._ctx.service.redeliver, job_id, answer.actor, reply=reply, start=False)
        job = await self._ctx.start_job(answer, write, lambda: answer.defer(ephemeral=True))
        await self._remember_message(answer, job.parent_id)
