"""Sends a job's message by the first route that works: edit its own message, send a new one, send a direct message.

REST only and from stored facts, so that any process can do it. A dead token or a deleted message is recorded and never
tried again: each such response counts towards Discord's ban of 10,000 invalid requests in 10 minutes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import discord
import structlog

from adapters.discord.outbound import errors
from adapters.discord.outbound.api_client import ATTEMPTS, ApiClient, WebhookMessageId
from adapters.discord.outbound.delivery_state import Address, DeliveryState, JobMessageStore, MessageState, SentMessage
from adapters.discord.outbound.payload import Payload, Placement
from core.domain.errors import DeliveryRefused, DeliveryUnavailable
from core.ports import Clock

log = structlog.get_logger(__name__)

ACK_CHECK_S = 0.8
"""Less than the core waits for the first edit before it pays."""

Route: TypeAlias = Callable[[Payload, int], Awaitable[Placement | None]]


@dataclass
class Messenger:
    address: Address
    state: DeliveryState
    rest: ApiClient
    job_messages: JobMessageStore
    clock: Clock
    job_id: str
    private: bool = False
    edit_only: bool = False
    """Edit the existing message and send no new one."""

    @property
    def dm_only(self) -> bool:
        """Whether a private job was requested by a message in a server: only a direct message keeps it private."""
        return self.private and self.address.slot == "message" and self.address.guild_id is not None

    async def edit(self, payload: Payload) -> None:
        """Edit the message in one attempt. Raises DeliveryRefused when there is nothing left to edit."""
        if not self.address.acknowledged:
            try:
                async with asyncio.timeout(ACK_CHECK_S):
                    await self._check_acknowledged()
            except (DeliveryUnavailable, TimeoutError) as unknown:
                raise DeliveryRefused(reason="gone") from unknown
        state = await self.state.read()
        if state.gone:
            raise DeliveryRefused(reason="gone")
        routes: list[Route] = [partial(self._by_token, renew=False), self._by_bot_edit, self._by_reply]
        if self.dm_only and state.message_id is None:
            routes.append(self._by_direct_message)
        try:
            for route in routes:
                if await route(payload, 1) is not None:
                    return
        except discord.HTTPException as error:
            raise errors.to_delivery_error(error) from error
        raise DeliveryRefused(reason="gone" if (await self.state.read()).gone else "too_old")

    async def put_text(self, payload: Payload) -> Placement:
        """Send text that holds nothing private, falling back to a public message where no direct one can be sent."""
        try:
            return await self.put(payload)
        except DeliveryRefused:
            if not self.dm_only:
                raise
            self.private = False
            return await self.put(payload)

    async def put(self, payload: Payload) -> Placement:
        """Send by the first route that works. Idempotent, because each route records its result or uses a nonce.

        Raises UploadTooLarge, DeliveryUnavailable (retry later), DeliveryRefused (no route is left).
        """
        await self._check_acknowledged()
        refused: Exception = DeliveryRefused(reason="gone")
        routes: list[Route] = [partial(self._by_token, renew=not self.edit_only), self._by_bot_edit]
        if not self.edit_only:
            routes += [self._by_reply, self._by_new_message, self._by_direct_message]
        for route in routes:
            try:
                done = await route(payload, ATTEMPTS)
            except (DeliveryRefused, discord.HTTPException) as error:
                refused = error
                continue
            if done is not None:
                return done
        raise errors.to_delivery_error(refused) from refused

    async def is_awaited(self) -> bool:
        """Whether Discord surely shows the member a response; in doubt nothing is paid for."""
        state = await self.state.read()
        return self.address.acknowledged or state.message_id is not None or bool(state.heard)

    async def _check_acknowledged(self) -> None:
        """Raise DeliveryRefused for a job whose interaction was never acknowledged.

        Checked once, after a crash between writing the job's row and starting it. Once the token has expired it cannot
        be checked any more, and the job is shown.
        """
        if await self.is_awaited():
            return
        state = await self.state.read()
        if state.heard is None and (token := await self.token(state)) is not None:
            try:
                await self.rest.check_answer(self.address.app_id, token)
                state = await self.state.update(heard=True)
            except discord.HTTPException as error:
                log.info("interaction_never_answered", job=self.job_id, code=error.code)
                state = await self.state.update(heard=False)
        if state.heard is False:
            raise DeliveryRefused(reason="gone")

    async def leave_if_request_deleted(self) -> None:
        """Delete our message when the member has deleted the one that requested the job.

        The end of the job then goes to the member as a direct message. Does nothing when Discord does not let us look.
        """
        state, where = await self.state.read(), self.address
        if where.slot != "message" or where.guild_id is None or self.dm_only or state.gone or state.made:
            return
        try:
            await self.rest.fetch_message(where.channel_id, where.interaction_id)
        except errors.FAILED_CALLS as error:
            if not errors.is_message_gone(error):
                return
            log.info("request_deleted", job=self.job_id)
            if state.message_id is not None:
                await self._remove(where.channel_id, state.message_id)
            await self.state.update(gone=True)

    async def _remove(self, channel_id: int, message_id: int) -> None:
        try:
            await self.rest.delete_message(channel_id, message_id)
        except (discord.HTTPException, DeliveryRefused) as error:
            if not errors.is_message_gone(error):
                log.info("message_not_deleted", job=self.job_id, code=errors.code_of(error))
                await self.state.reply_state.remove_later({"channel_id": channel_id, "message_id": message_id})

    async def close(self, payload: Payload) -> None:
        """Edit the message where the job was requested, after another message has replaced it. There is no fallback.

        Raises DeliveryUnavailable, also while its thread is archived. Another refusal leaves nothing to close.
        """
        state = await self.state.read()
        token, origin = await self.token(state), state.origin_id
        which: WebhookMessageId | None = origin if self.address.slot == "followup" else "@original"
        if state.origin_gone:
            return
        try:
            if token is not None and which is not None:
                await self.rest.edit_answer(self.address.app_id, token, which, payload)
            elif origin is not None and self.bot_can_act:
                await self.rest.edit_message(self.address.channel_id, origin, payload)
        except (discord.HTTPException, DeliveryRefused) as error:
            log.info("message_not_closed", job=self.job_id, code=errors.code_of(error))
            errors.raise_if_archived(error)
            await self.state.update(origin_gone=True)

    # --- the routes, in order: each returns None when it does not apply, and raises discord.HTTPException ----------

    async def _by_token(self, payload: Payload, attempts: int, *, renew: bool = True) -> Placement | None:
        state = await self.state.read()
        if state.made in ("channel", "direct_message"):
            return None
        token, which = await self.token(state), self._webhook_message_id(state)
        if token is None:
            return None
        if which is not None and not state.gone:
            try:
                message_id = await self.rest.edit_answer(self.address.app_id, token, which, payload, attempts)
                await self.state.update(message_id=message_id)
                return ""
            except discord.HTTPException as error:
                if not await self._record_if_permanent(error, token):
                    raise
                if errors.is_token_dead(error) or not renew:
                    return None
        return await self._followup(payload, token, attempts)

    async def _followup(self, payload: Payload, token: str, attempts: int) -> Placement | None:
        """Send a follow-up: the job's first message, or a replacement for a deleted one, which is then ephemeral."""
        state = await self.state.read()
        where: Placement = "new_message" if state.gone else ""
        private = self.address.ephemeral or state.gone
        can_be_found = not private and self.bot_can_act
        if can_be_found and state.sent and (found := await self._lost_followup()):
            await self.state.switch_to(found, "followup")
            return await self._by_token(payload, attempts)
        await self.state.save_before_send(sent=True)
        try:
            message_id = await self.rest.follow_up(
                self.address.app_id, token, payload, where, ephemeral=private, attempts=1 if can_be_found else attempts
            )
        except discord.HTTPException as error:
            if errors.has_code(error, errors.FOLLOW_UP_CAP) or await self._record_if_permanent(error, token):
                return None
            raise
        await self.state.switch_to(message_id, "followup")
        return where

    async def _lost_followup(self) -> int | None:
        """The id of a follow-up from an attempt whose response, or process, was lost; None when it cannot be found."""
        try:
            where, interaction_id = self.address.channel_id, self.address.interaction_id
            return await self.rest.find_job_message(self.job_id, where, after=interaction_id)
        except (discord.HTTPException, DeliveryRefused) as error:
            log.info("lost_followup_not_sought", job=self.job_id, code=errors.code_of(error))
            return None

    async def _by_bot_edit(self, payload: Payload, attempts: int) -> Placement | None:
        state = await self.state.read()
        own = state.made in ("channel", "direct_message")
        if state.message_id is None or state.gone or (not own and not self.bot_can_act):
            return None
        message_id, channel_id = state.message_id, state.channel_id or self.address.channel_id
        where: Placement = {"channel": "new_message", "direct_message": self._dm_placement}.get(state.made, "")
        try:
            await self.rest.edit_message(channel_id, message_id, payload, where, attempts)
        except discord.HTTPException as error:
            if not errors.is_message_gone(error):
                raise
            # Somebody deleted on purpose a result that was already delivered elsewhere; that is no failure.
            await self.state.update(gone=True)
            return where if own else None
        return where

    async def _by_reply(self, payload: Payload, attempts: int) -> Placement | None:
        """Reply to the message that requested the job; only for the job's first message."""
        state = await self.state.read()
        if self.address.slot != "message" or self.dm_only or state.message_id is not None or state.gone:
            return None
        message_id = await self.rest.reply(
            self.address.channel_id, self.address.interaction_id, payload, nonce=self._nonce("r"), attempts=attempts
        )
        await self.state.update(**({"message_id": message_id} if message_id is not None else {"gone": True}))
        return "" if message_id is not None else None

    async def _by_new_message(self, payload: Payload, attempts: int) -> Placement | None:
        if not self.bot_can_act or self.dm_only or (await self.state.read()).gone:
            return None
        return await self._post(payload, self.address.channel_id, "new_message", attempts)

    async def _by_direct_message(self, payload: Payload, attempts: int) -> Placement | None:
        return await self._post(payload, await self.rest.open_dm(self.address.user_id), self._dm_placement, attempts)

    async def _post(self, payload: Payload, channel_id: int, where: Placement, attempts: int) -> Placement:
        new = where == "new_message"
        nonce = self._nonce("n" if new else "d")
        message_id = await self.rest.send(channel_id, payload, where, nonce=nonce, attempts=attempts)
        state = await self.state.switch_to(message_id, "channel" if new else "direct_message", channel_id)
        if state.origin_id is not None and not state.origin_gone and self.bot_can_act:
            origin = SentMessage(channel_id=self.address.channel_id, message_id=state.origin_id)
            await self.job_messages.add_message(self.job_id, origin)
        return where

    @property
    def _dm_placement(self) -> Placement:
        return "" if self.dm_only else "direct_message"

    def _nonce(self, route: str) -> str:
        return f"{self.job_id}{route}{self.address.interaction_id % 1_000_000}"

    @property
    def bot_can_act(self) -> bool:
        """Whether the bot user may send and edit messages in the channel without a token."""
        return self.address.bot_inside and not self.address.ephemeral

    async def token(self, state: MessageState) -> str | None:
        """A token that still works: the address's own, or that of a later click on the message."""
        if not state.token_dead and self.address.is_token_valid(self.clock.now()):
            return self.address.token
        return await self.job_messages.token(self.job_id)

    def _webhook_message_id(self, state: MessageState) -> WebhookMessageId | None:
        if state.made == "followup" or self.address.slot == "followup":
            return state.message_id
        return "@original"

    async def _record_if_permanent(self, error: discord.HTTPException, token: str) -> bool:
        """Record a deleted message or a dead token; return False for any other error."""
        if errors.is_message_gone(error):
            await self.state.update(gone=True)
        elif not errors.is_token_dead(error):
            return False
        elif token == self.address.token:
            await self.state.update(token_dead=True)
        else:
            await self.job_messages.forget_token(self.job_id)
        return True
