"""The response to one interaction or message: acknowledged within Discord's 3 s, edited later.

A reset connection or a 5xx leaves open whether an acknowledgement arrived. It is sent again (after a 5xx by the
library itself), and "already acknowledged" then means that it had arrived. The same error for a first attempt means
that another process, or an earlier delivery of the same event, has the interaction.

A request is committed before it is acknowledged, so that no acknowledged request is lost.
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
"""Of Discord's 3 s for the acknowledgement; the rest is left for the call itself."""

SLOW_COMMIT_TIMEOUT_S = 10.0
CANCEL_TIMEOUT_S = 0.2


class Commits:
    """Runs database work before acknowledgements, and knows when it last succeeded in this process."""

    def __init__(self) -> None:
        self._last_s = -math.inf

    async def before_ack(
        self,
        write: Coroutine[Any, Any, T],
        acknowledge: Callable[[], Awaitable[None]] | None = None,
        *,
        ack_only_if_slow: bool = False,
    ) -> T:
        """Run `write`, then acknowledge, and return its result. Its errors are raised before the acknowledgement.

        A write that takes longer than COMMIT_TIMEOUT_S is acknowledged and waited for if others succeeded meanwhile,
        because the database is only slow then. Otherwise raises StorageUnavailable. `ack_only_if_slow` suits callers
        whose next call is a response itself.
        """
        began_s = asyncio.get_running_loop().time()
        task = asyncio.create_task(write, name="discord-commit")
        try:
            await asyncio.wait({task}, timeout=COMMIT_TIMEOUT_S)
            if not task.done() and self._last_s < began_s:
                raise StorageUnavailable
            if task.done():
                _result(task)
            if acknowledge is not None and not (ack_only_if_slow and task.done()):
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
    except (OSError, TimeoutError) as error:  # from the connection to the database
        raise StorageUnavailable from error


FOLLOW_UPS_OF_USER_INSTALLS = 5
"""Discord's limit where only the member installed the app (receiving-and-responding, read 2026-11-22)."""

ACK_DEADLINE_S, ACK_ARRIVED_BY_S = 2.8, 3.5
"""Discord accepts the acknowledgement for 3 s; one in flight at the deadline has arrived, or is refused, by 3.5 s."""

ACK_ATTEMPT_S = 1.3
ACK_ATTEMPTS = 5
ACK_BACKOFF = Backoff(first_s=0.05, cap_s=0.8)
Callback: TypeAlias = discord.InteractionCallbackResponse[discord.Client] | None


class InteractionLost(Exception):
    """Another process has acknowledged this interaction (`taken`), or it is too late to do so. It gets no response."""

    def __init__(self, *, taken: bool = False) -> None:
        super().__init__()
        self.taken = taken


class Answer:
    """The response to an interaction.

    `mode`: not acknowledged yet, a message of its own, an update of the clicked message, or a modal.
    """

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
        """Acknowledge with a "thinking" message; whether it is ephemeral is final. Raises InteractionLost."""
        response = self.interaction.response
        result = await self._acknowledge_once(lambda: response.defer(ephemeral=ephemeral, thinking=True))
        self.mode, self.ephemeral = "own", ephemeral
        if result is not None:
            # Discord may force the response to be ephemeral (user installs without the permission); so is the job then.
            self.ephemeral = ephemeral or result.is_ephemeral()
            self.message_id = result.message_id
        await self._ack_priority.wait_until_calm()

    async def acknowledge(self, *, ephemeral: bool) -> None:
        """Defer unless already acknowledged. Raises InteractionLost."""
        if self.mode == "none":
            await self.defer(ephemeral=ephemeral)

    async def defer_update(self) -> None:
        """Acknowledge with a later update of the clicked message. Raises InteractionLost."""
        await self._acknowledge_once(lambda: self.interaction.response.defer())
        self.mode = "update"
        await self._ack_priority.wait_until_calm()

    async def open_modal(self, modal: ui.Modal) -> None:
        """Acknowledge with a modal. Raises InteractionLost."""
        await self._acknowledge_once(lambda: self.interaction.response.send_modal(modal))
        self.mode = "modal"

    def address(self) -> Address:
        ephemeral = self.ephemeral or self._source_ephemeral or translate.is_forced_ephemeral(self.interaction)
        return translate.interaction_address(
            self.interaction, ephemeral=ephemeral, message_id=self.message_id, acknowledged=self.mode != "none"
        )

    def with_public_messages(self) -> Self:
        """Make the follow-ups public although the clicked message was ephemeral."""
        self._inherits_privacy = False
        return self

    @property
    def _source_ephemeral(self) -> bool:
        message = self.interaction.message
        inherits = self._inherits_privacy and self.mode != "own"
        return inherits and message is not None and message.flags.ephemeral

    async def show(self, card: Card, files: Files | None = None) -> None:
        """Respond with this card; after `defer_update` or a modal as an ephemeral follow-up."""
        if self.mode == "own":
            await self.update(card, files)
        elif self.mode == "none":
            send, payload = self.interaction.response.send_message, payload_of(card, files)
            await self._acknowledge_once(lambda: send(view=payload.view(""), files=payload.uploads(), ephemeral=True))
            self.mode = "own"
        else:
            await self.follow_up(card, files)

    async def update(self, card: Card, files: Files | None = None) -> None:
        """Edit the response, or after `defer_update` the clicked message."""
        await self._rest.edit_answer(*self._token, "@original", payload_of(card, files))

    async def follow_up(self, card: Card, files: Files | None = None) -> None:
        """Send a further, ephemeral message."""
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
                if errors.has_code(error, errors.ALREADY_ACKNOWLEDGED) and repeated:
                    return None
                raise
            except PARSE_ERRORS as error:
                # Discord responded, but the library could not parse the response; that there was one is enough.
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
            taken = errors.has_code(error, errors.ALREADY_ACKNOWLEDGED)
            if errors.is_transient(error):
                if unclear and await self._has_arrived():
                    return None
                log.warning("interaction_missed", interaction=self.id, why="no answer in time")
            elif taken or errors.has_code(error, errors.UNKNOWN_INTERACTION):
                log.info("interaction_not_ours", interaction=self.id, code=errors.code_of(error))
            else:
                raise
            raise InteractionLost(taken=taken) from None

    async def _has_arrived(self) -> bool:
        """Whether Discord accepted an acknowledgement whose response never arrived; then the member is waiting."""
        await self._clock.sleep(ACK_ARRIVED_BY_S - ACK_DEADLINE_S)
        try:
            await self._rest.check_answer(*self._token)
        except errors.FAILED_CALLS:
            return False
        log.warning("acknowledged_late", interaction=self.id)
        return True


class MessageResponse:
    """The response to a message that mentions the bot: replies to it."""

    is_reused_by_first_job = False
    starts_job = True
    max_messages = MAX_IMAGES

    def __init__(self, message: discord.Message, app_id: int, locale: str, rest: ApiClient) -> None:
        self.id = message.id
        self.key = f"{PLATFORM}:m{message.id}"
        self.actor = translate.member(message, locale)
        self.locale = locale
        self.age_restricted = None if self.actor.workspace_id else False
        self._address = translate.message_address(message, app_id, locale)
        self._rest = rest
        self._said = 0

    async def acknowledge(self, *, ephemeral: bool) -> None:
        """Messages need no acknowledgement."""

    def address(self) -> Address:
        return self._address

    async def show(self, card: Card) -> None:
        """Send a reply. The nonce prevents a duplicate when the event is delivered twice, also to another process."""
        self._said += 1
        nonce = f"m{self.id}{self._said}"
        if await self._rest.reply(self._address.channel_id, self.id, payload_of(card), nonce=nonce) is None:
            log.info("request_deleted", message=self.id)

    follow_up = show


Response: TypeAlias = Answer | MessageResponse
"""The response to an interaction or a message.

`id` is the interaction's or message's, `key` the job key. `max_messages`: how many messages may be sent.
`age_restricted` is None where Discord must be asked. `is_reused_by_first_job`: the first job's message is the response.
`starts_job`: whether a job was requested, so that an error says that it was not started.
"""
