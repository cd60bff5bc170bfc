"""The answer to one interaction: acknowledged at once, shown later, whatever the network does in between.

Discord gives 3 s for the first answer. A reset connection or a 5xx leaves open whether it arrived: it is sent again
(after a 5xx by the library itself), and "already acknowledged" then means that it had. The same words for a first try
mean that another process, or an earlier delivery of the same event, has the interaction: then it is not ours.

What is promised is written first, so that nothing that was acknowledged can be lost.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal, Self, TypeAlias, TypeVar

import discord
import structlog
from discord import ui

from adapters.discord.connection.ack_priority import AckPriority
from adapters.discord.connection.payloads import PARSE_ERRORS
from adapters.discord.inbound import translate
from adapters.discord.inbound.message_images import MAX_IMAGES
from adapters.discord.inbound.translate import Interaction
from adapters.discord.outbound import errors
from adapters.discord.outbound.api_client import ApiClient, to_call_error
from adapters.discord.outbound.delivery_state import PLATFORM, TOKEN_TTL_S, Address, SentMessage
from adapters.discord.outbound.payload import Files, payload_of
from core.domain.errors import StorageUnavailable
from core.net.retry import Backoff, retry
from core.ports import Clock
from core.presentation import Card

log = structlog.get_logger(__name__)

T = TypeVar("T")
COMMIT_TIMEOUT_S = 1.5
"""Of Discord's 3 s for the first answer; the rest is left for the answer itself."""

SLOW_COMMIT_TIMEOUT_S = 10.0
CANCEL_TIMEOUT_S = 0.2


async def no_ack() -> None:
    """What was read is no promise yet."""


class Commits:
    """The writes of this process, and when one was last seen to succeed."""

    def __init__(self) -> None:
        self._last_s = -math.inf

    async def before_ack(
        self,
        write: Coroutine[Any, Any, T],
        acknowledge: Callable[[], Awaitable[None]],
        *,
        ack_only_if_slow: bool = False,
    ) -> T:
        """What `write` gives, acknowledged. Refusals of it are raised before the acknowledgement.

        Where the database is only slow, because many write at once, it is acknowledged and waited for. Raises
        StorageUnavailable where nothing at all was written meanwhile. Not `always`: only where it is slow, because
        what is shown next is an answer as well.
        """
        began_s = asyncio.get_running_loop().time()
        task = asyncio.create_task(write, name="discord-commit")
        try:
            await asyncio.wait({task}, timeout=COMMIT_TIMEOUT_S)
            if not task.done() and self._last_s < began_s:
                raise StorageUnavailable
            if task.done():
                _result(task)
            if not ack_only_if_slow or not task.done():
                await acknowledge()
                await asyncio.wait({task}, timeout=SLOW_COMMIT_TIMEOUT_S)
            if not task.done():
                raise StorageUnavailable
            self._last_s = asyncio.get_running_loop().time()
            return _result(task)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=CANCEL_TIMEOUT_S)


def _result(task: asyncio.Task[T]) -> T:
    try:
        return task.result()
    except (OSError, TimeoutError) as error:  # of the way to the database
        raise StorageUnavailable from error


FOLLOW_UPS_OF_USER_INSTALLS = 5
"""Discord's cap where only the member brought the app (receiving-and-responding, read 2026-11-22)."""

ACK_DEADLINE_S, ACK_ARRIVED_BY_S = 2.8, 3.5
"""Discord takes the first answer for 3 s; what is still on its way at the deadline has come, or is refused, then."""

ACK_ATTEMPT_S = 1.3
ACK_ATTEMPTS = 5
ACK_BACKOFF = Backoff(first_s=0.05, cap_s=0.8)
Callback: TypeAlias = discord.InteractionCallbackResponse[discord.Client] | None


class InteractionLost(Exception):
    """Somebody else has acknowledged this interaction (`taken`), or it is too late for that. It gets no answer."""

    def __init__(self, *, taken: bool = False) -> None:
        super().__init__()
        self.taken = taken


class Answer:
    """How far the answer is: not begun, a message of its own ("thinking"), or an update of the clicked message."""

    is_reused_by_first_job = True
    starts_job = True

    def __init__(self, interaction: Interaction, rest: ApiClient, clock: Clock, ack_priority: AckPriority) -> None:
        self.interaction = interaction
        self.id = interaction.id
        self.key = f"{PLATFORM}:{interaction.id}"
        self.actor = translate.requester(interaction)
        self.locale = self.actor.locale
        self.max_messages = FOLLOW_UPS_OF_USER_INSTALLS if translate.is_user_install_only(interaction) else MAX_IMAGES
        self.age_restricted = translate.is_age_restricted(interaction)
        self._clock = clock
        self._ack_priority = ack_priority
        self._rest = rest
        self._token = (interaction.application_id, interaction.token)
        expires_at = interaction.created_at.timestamp() + TOKEN_TTL_S
        self.sent_message = SentMessage(interaction.application_id, interaction.token, expires_at)
        self.mode: Literal["none", "own", "update", "modal"] = "none"
        self.ephemeral = False
        self.message_id: int | None = None
        self._inherits_privacy = True

    async def defer(self, *, ephemeral: bool) -> None:
        """Promise a message of its own; private or not cannot be changed later. Raises InteractionLost."""
        response = self.interaction.response
        result = await self._acknowledge_once(lambda: response.defer(ephemeral=ephemeral, thinking=True))
        self.mode, self.ephemeral = "own", ephemeral
        if result is not None:
            # Discord may force an answer to be private (user installs without the right): then so is the job.
            self.ephemeral = ephemeral or result.is_ephemeral()
            self.message_id = result.message_id
        await self._ack_priority.wait_until_calm()

    async def acknowledge(self, *, ephemeral: bool) -> None:
        """Promise a message of its own, unless something was promised already. Raises InteractionLost."""
        if self.mode == "none":
            await self.defer(ephemeral=ephemeral)

    async def defer_update(self) -> None:
        """Promise an update of the message that was clicked. Raises InteractionLost."""
        await self._acknowledge_once(lambda: self.interaction.response.defer())
        self.mode = "update"
        await self._ack_priority.wait_until_calm()

    async def open_modal(self, modal: ui.Modal) -> None:
        """Open a modal, which must be the first answer. Raises InteractionLost."""
        await self._acknowledge_once(lambda: self.interaction.response.send_modal(modal))
        self.mode = "modal"

    def address(self) -> Address:
        ephemeral = self.ephemeral or self._source_ephemeral or translate.is_forced_ephemeral(self.interaction)
        return translate.address(
            self.interaction, ephemeral=ephemeral, message_id=self.message_id, acknowledged=self.mode != "none"
        )

    def with_public_messages(self) -> Self:
        """The same answer, whose follow-ups are not private although the clicked message was."""
        self._inherits_privacy = False
        return self

    @property
    def _source_ephemeral(self) -> bool:
        message = self.interaction.message
        inherits = self._inherits_privacy and self.mode != "own"
        return inherits and message is not None and message.flags.ephemeral

    async def show(self, card: Card, files: Files | None = None) -> None:
        """Show this as the answer; where the answer is an update of another message, privately beside it."""
        if self.mode == "own":
            await self.update(card, files)
        elif self.mode == "none":
            send, payload = self.interaction.response.send_message, payload_of(card, files)
            await self._acknowledge_once(lambda: send(view=payload.view(""), files=payload.uploads(), ephemeral=True))
            self.mode = "own"
        else:
            await self.follow_up(card, files)

    async def update(self, card: Card, files: Files | None = None) -> None:
        """Show this in the answer, or in the clicked message whose update was promised."""
        await self._rest.edit_answer(*self._token, "@original", payload_of(card, files))

    async def follow_up(self, card: Card, files: Files | None = None) -> None:
        await self._rest.follow_up(*self._token, payload_of(card, files), ephemeral=True)

    async def _acknowledge_once(self, send: Callable[[], Awaitable[Callback]]) -> Callback:
        try:
            return await self._acknowledge_with_retry(send)
        finally:
            self._ack_priority.answered(self.interaction.id)

    async def _acknowledge_with_retry(self, send: Callable[[], Awaitable[Callback]]) -> Callback:
        unclear = False

        async def attempt() -> Callback:
            try:
                async with asyncio.timeout(ACK_ATTEMPT_S):
                    return await send()
            except discord.HTTPException as error:
                repeated = unclear or self._rest.rate_limits.may_be_acknowledged(self.id)
                if errors.code_of(error) == errors.ALREADY_ACKNOWLEDGED and repeated:
                    return None
                raise
            except PARSE_ERRORS as error:
                # Sent, but the library could not read the answer to it; that there was one is enough.
                if not self.interaction.response.is_done():
                    raise to_call_error(error) from error
                log.warning("acknowledgement_unreadable", interaction=self.id)
                return None

        def pause_s(error: Exception, number: int) -> float | None:
            nonlocal unclear
            unclear = unclear or not isinstance(error, discord.HTTPException) or error.status >= 500
            return ACK_BACKOFF.pause_s(number) if errors.is_transient(error) else None

        try:
            async with asyncio.timeout(ACK_DEADLINE_S):
                return await retry(attempt, clock=self._clock, pause=pause_s, attempts=ACK_ATTEMPTS)
        except errors.HTTP_OR_TRANSIENT as error:
            taken = errors.code_of(error) == errors.ALREADY_ACKNOWLEDGED
            if errors.is_transient(error):
                if unclear and await self._has_arrived():
                    return None
                log.warning("interaction_missed", interaction=self.id, why="no answer in time")
            elif taken or errors.code_of(error) == errors.UNKNOWN_INTERACTION:
                log.info("interaction_not_ours", interaction=self.id, code=errors.code_of(error))
            else:
                raise
            raise InteractionLost(taken=taken) from None

    async def _has_arrived(self) -> bool:
        """Whether Discord took an acknowledgement whose answer never came: then the member waits for words."""
        await self._clock.sleep(ACK_ARRIVED_BY_S - ACK_DEADLINE_S)
        try:
            await self._rest.check_answer(*self._token)
        except errors.FAILED_CALLS:
            return False
        log.warning("acknowledged_late", interaction=self.id)
        return True


class MessageResponse:
    """Answers to one message that mentions the bot: replies to it."""

    is_reused_by_first_job = False
    starts_job = True
    max_messages = MAX_IMAGES

    def __init__(self, message: discord.Message, app_id: int, locale: str, rest: ApiClient) -> None:
        self.id = message.id
        self.key = f"{PLATFORM}:m{message.id}"
        self.actor = translate.member(message, locale)
        self.locale = locale
        self.age_restricted = None if self.actor.workspace_id else False
        self._where = translate.message_address(message, app_id, locale)
        self._rest = rest
        self._said = 0

    async def acknowledge(self, *, ephemeral: bool) -> None:
        """A message waits for no promise."""

    def address(self) -> Address:
        return self._where

    async def show(self, card: Card) -> None:
        """A reply of its own; a second delivery of the message, also to another process, says nothing twice."""
        self._said += 1
        nonce = f"m{self.id}{self._said}"
        if await self._rest.reply(self._where.channel_id, self.id, payload_of(card), nonce=nonce) is None:
            log.info("request_deleted", message=self.id)

    follow_up = show


Response: TypeAlias = Answer | MessageResponse
"""The answer to whatever asked for pictures.

`id` is its own, `key` the same for a redelivered event. `most` is how many messages it may become.
`age_restricted` is None where only Discord can tell. `reused`: the first job takes over what was shown.
`starts`: whether a job was asked for, of which a refusal says that it was not started.
"""
