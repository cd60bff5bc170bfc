"""The ladder of ways to show something for a job: its own message, a new one, a direct message.

REST only and from stored facts, so that any process can do it. A dead token or a deleted message is noted and never
tried again: each such answer counts towards Discord's ban of 10,000 invalid requests in 10 minutes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import discord
import structlog
from discord import ui

from adapters.discord.outbound import errors
from adapters.discord.outbound.api_client import Rest
from adapters.discord.outbound.delivery_state import NoteBook, Notes
from adapters.discord.outbound.interaction_tokens import FreshTokens
from adapters.discord.outbound.rate_limit import Pauses
from adapters.discord.outbound.reply_address import Address
from adapters.discord.outbound.retry import ATTEMPTS, steadily
from core.domain.errors import DeliveryRefused, DeliveryUnavailable
from core.ports import Clock

T = TypeVar("T")
Elsewhere = Literal["", "new_message", "direct_message"]
LONGEST_PAUSE_S = 10.0
"""A longer pause that Discord asks for is left to the caller, who waits it out without holding anything."""


log = structlog.get_logger(__name__)


class TooLargeHere(Exception):
    """Discord refused the upload for its size, whatever it had announced."""


@dataclass(frozen=True, slots=True)
class Payload:
    """What to show. `view` builds a fresh layout for the place where it ends up; `files` are (path, name)."""

    view: Callable[[Elsewhere], ui.LayoutView]
    files: tuple[tuple[Path, str], ...] = ()

    def uploads(self) -> list[discord.File]:
        """Fresh each time: a `discord.File` works only once."""
        return [discord.File(path, filename=name) for path, name in self.files]


class Messenger:
    """The message of one job, wherever it is."""

    def __init__(
        self,
        address: Address,
        notes: NoteBook,
        rest: Rest,
        tokens: FreshTokens,
        pauses: Pauses,
        clock: Clock,
        *,
        job_id: str,
    ) -> None:
        self._address = address
        self._notes = notes
        self._rest = rest
        self._tokens = tokens
        self._pauses = pauses
        self._clock = clock
        self._job_id = job_id

    async def edit(self, payload: Payload) -> None:
        """One edit in place, one try. Raises DeliveryRefused when there is nothing to edit any more."""
        notes = await self._notes.read()
        if notes.gone:
            raise DeliveryRefused(reason="gone")
        if await self._by_token(payload, attempts=1, renew=False) is not None:
            return
        if await self._by_bot_edit(payload, attempts=1) is None:
            gone = (await self._notes.read()).gone
            raise DeliveryRefused(reason="gone" if gone else "too_old")

    async def put(self, payload: Payload) -> Elsewhere:
        """Show it for sure: by the first way that works. Repeatable, because each way is noted or has a nonce.

        Raises TooLargeHere, DeliveryUnavailable (worth trying later), DeliveryRefused (no way is left).
        """
        refused: DeliveryRefused | None = None
        for way in (self._by_token, self._by_bot_edit, self._by_new_message, self._by_direct_message):
            try:
                done = await way(payload)
            except DeliveryRefused as error:
                refused = error
                continue
            if done is not None:
                return done
        raise refused or DeliveryRefused(reason="gone")

    async def close(self, payload: Payload) -> None:
        """Put these words where the job was asked, which is no longer the message in use. One place, no other way.

        Raises DeliveryUnavailable; a place that refuses has nothing left to close.
        """
        notes = await self._notes.read()
        token, origin = await self._token(notes), notes.origin_id
        which: int | Literal["@original"] | None = origin if self._address.slot == "followup" else "@original"
        try:
            if notes.origin_gone:
                return
            if token is not None and which is not None:
                await self._try(
                    lambda: self._rest.edit_answer(self._address.app_id, token, which, payload.view(""), []),
                    ATTEMPTS,
                    self._hook(token),
                )
            elif origin is not None and self._bot_can_act:
                channel_id = self._address.channel_id
                await self._try(
                    lambda: self._rest.edit_message(channel_id, origin, payload.view(""), []),
                    ATTEMPTS,
                    _channel(channel_id),
                )
        except discord.HTTPException as error:
            log.info("message_not_closed", job=self._job_id, code=error.code)
            await self._notes.write(origin_gone=True)

    # --- the ways, in order; None: not possible ----------------------------------------------------------------

    async def _by_token(self, payload: Payload, *, attempts: int = ATTEMPTS, renew: bool = True) -> Elsewhere | None:
        notes = await self._notes.read()
        if notes.made in ("channel", "direct_message"):
            return None
        token, which = await self._token(notes), self._which(notes)
        if token is None:
            return None
        if which is not None and not notes.gone:
            try:
                message_id = await self._try(
                    lambda: self._rest.edit_answer(
                        self._address.app_id, token, which, payload.view(""), payload.uploads()
                    ),
                    attempts,
                    self._hook(token),
                )
                await self._notes.write(message_id=message_id)
                return ""
            except discord.HTTPException as error:
                if not await self._noted(error, token):
                    raise errors.to_delivery_error(error) from error
                if errors.is_token_dead(error) or not renew:
                    return None
        return await self._followup(payload, token, attempts)

    async def _followup(self, payload: Payload, token: str, attempts: int) -> Elsewhere | None:
        """A further message of the interaction: the job's first, or a new one because somebody deleted the other.

        Where it was deleted, nobody but the owner sees the new one.
        """
        gone = (await self._notes.read()).gone
        where: Elsewhere = "new_message" if gone else ""
        private = self._address.ephemeral or gone
        try:
            # Not repeatable, so at most one more try: rather a stray placeholder than a lost picture.
            message_id = await self._try(
                lambda: self._rest.follow_up(
                    self._address.app_id, token, payload.view(where), payload.uploads(), private
                ),
                min(attempts, 2),
                self._hook(token),
            )
        except discord.HTTPException as error:
            if errors.code_of(error) == errors.FOLLOW_UP_CAP or await self._noted(error, token):
                return None
            raise errors.to_delivery_error(error) from error
        await self._notes.leave(message_id, "followup")
        return where

    async def _by_bot_edit(self, payload: Payload, *, attempts: int = ATTEMPTS) -> Elsewhere | None:
        notes = await self._notes.read()
        own = notes.made in ("channel", "direct_message")
        if notes.message_id is None or notes.gone or (not own and not self._bot_can_act):
            return None
        message_id, channel_id = notes.message_id, notes.channel_id or self._address.channel_id
        where: Elsewhere = {"channel": "new_message", "direct_message": "direct_message"}.get(notes.made, "")  # type: ignore[assignment]
        try:
            await self._try(
                lambda: self._rest.edit_message(channel_id, message_id, payload.view(where), payload.uploads()),
                attempts,
                _channel(channel_id),
            )
        except discord.HTTPException as error:
            if errors.is_message_gone(error):
                # A deleted result that was already delivered elsewhere is somebody's wish, not a failure.
                await self._notes.write(gone=True)
                return where if own else None
            raise errors.to_delivery_error(error) from error
        return where

    async def _by_new_message(self, payload: Payload) -> Elsewhere | None:
        if not self._bot_can_act or (await self._notes.read()).gone:
            return None
        return await self._post(payload, self._address.channel_id, "new_message")

    async def _by_direct_message(self, payload: Payload) -> Elsewhere | None:
        try:
            channel_id = await self._try(lambda: self._rest.direct_channel(self._address.user_id), ATTEMPTS)
        except discord.HTTPException as error:
            raise errors.to_delivery_error(error) from error
        return await self._post(payload, channel_id, "direct_message")

    async def _post(self, payload: Payload, channel_id: int, where: Elsewhere) -> Elsewhere:
        nonce = f"{self._job_id}{where[0]}{self._address.interaction_id % 1_000_000}"
        try:
            message_id = await self._try(
                lambda: self._rest.send(channel_id, payload.view(where), payload.uploads(), nonce),
                ATTEMPTS,
                _channel(channel_id),
            )
        except discord.HTTPException as error:
            raise errors.to_delivery_error(error) from error
        await self._notes.leave(message_id, "channel" if where == "new_message" else "direct_message", channel_id)
        return where

    # --- facts -------------------------------------------------------------------------------------------------

    @property
    def _bot_can_act(self) -> bool:
        return self._address.bot_inside and not self._address.ephemeral

    async def _token(self, notes: Notes) -> str | None:
        if not notes.token_dead and self._address.token_alive(self._clock.now()):
            return self._address.token
        return await self._tokens.get(self._job_id)

    def _which(self, notes: Notes) -> int | Literal["@original"] | None:
        if notes.made == "followup" or self._address.slot == "followup":
            return notes.message_id
        return "@original"

    async def _noted(self, error: discord.HTTPException, token: str) -> bool:
        """Write down what can never work again; False if the error says nothing of the kind."""
        if errors.is_message_gone(error):
            await self._notes.write(gone=True)
            return True
        if errors.is_token_dead(error):
            if token == self._address.token:
                await self._notes.write(token_dead=True)
            else:
                await self._tokens.forget(self._job_id)
            return True
        return False

    def _hook(self, token: str) -> str:
        return f"webhooks/{self._address.app_id}/{token}"

    async def _try(self, call: Callable[[], Awaitable[T]], attempts: int, place: str = "") -> T:
        """HTTPException passes; the rest becomes the core's error, a refused size TooLargeHere.

        A pause that Discord asked for at `place`, of whichever call, is kept.
        """
        pause_s = self._pauses.left_s(place)
        if pause_s > 0:
            if attempts == 1 or pause_s > LONGEST_PAUSE_S:
                raise DeliveryUnavailable(retry_after_s=pause_s)
            await self._clock.sleep(pause_s)
        try:
            return await steadily(call, self._clock, attempts=attempts)
        except discord.HTTPException as error:
            if errors.is_too_large(error):
                raise TooLargeHere from error
            if errors.is_transient(error):
                raise errors.to_delivery_error(error) from error
            raise
        except errors.TRANSIENT as error:
            raise errors.to_delivery_error(error) from error


def _channel(channel_id: int) -> str:
    return f"channels/{channel_id}/messages"
