"""The stored facts about a job's message, from which any process can continue it: its address and its state.

The address holds an interaction token: the core stores it encrypted, and it is never logged. The same holds for the
tokens and messages kept per job in the application's encrypted store. The message state holds no token.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

from core.domain.errors import StorageUnavailable
from core.domain.job import ReplyAddress
from core.ports import AppState, Clock, ReplyState, TypedState

PLATFORM = "discord"
TOKEN_TTL_S = 15 * 60.0
"""Interactions: "tokens are valid for 15 minutes" (developer documents, read 2026-11-22)."""

TOKEN_EXPIRY_MARGIN_S = 3.0
"""A token this close to its end is not used: the edit would arrive too late and count as an invalid request."""


class _Stored:
    __slots__ = ()

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> Self:
        """Read stored fields; those of another version are ignored."""
        known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: value for name, value in stored.items() if name in known})

    def to_stored(self) -> dict[str, Any]:
        """Like `asdict`, which takes five times as long, three times in each request."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Address(_Stored):
    """Where a job's message goes. Times are unix seconds.

    `slot`: `original` is the interaction's original response, `followup` a follow-up sent on first use, `message` a
    reply to the member's own message, whose id is then `interaction_id`; there is no token for that.
    `acknowledged`: False when stored before the interaction was acknowledged; a process that resumes such a job first
    checks that its response exists.
    `bot_inside`: the bot user can act in the channel by itself, so it can edit after the token has expired.
    `limit_bytes`: the upload limit per file that the interaction announced.
    """

    app_id: int
    token: str
    expires_at: float
    interaction_id: int
    channel_id: int
    guild_id: int | None
    user_id: int
    locale: str
    limit_bytes: int
    ephemeral: bool
    bot_inside: bool
    slot: Literal["original", "followup", "message"] = "original"
    message_id: int | None = None
    part: str = ""
    acknowledged: bool = True

    @property
    def key(self) -> str:
        """The key of this address's state within its job; a redelivery of the same job has another address."""
        return f"{self.interaction_id}{self.part and ':'}{self.part}"

    def is_token_valid(self, now: float) -> bool:
        return now < self.expires_at - TOKEN_EXPIRY_MARGIN_S

    def followup(self, part: str) -> Self:
        """The address of another job from the same interaction or message."""
        slot: Literal["message", "followup"] = "message" if self.slot == "message" else "followup"
        return replace(self, slot=slot, message_id=None, part=part)

    def to_reply(self) -> ReplyAddress:
        return ReplyAddress(PLATFORM, self.to_stored())

    @classmethod
    def from_reply(cls, reply: ReplyAddress) -> Self:
        return cls.from_stored(reply.data)


Made = Literal["", "followup", "channel", "direct_message"]


@dataclass(frozen=True, slots=True)
class MessageState(_Stored):
    """What is known about the message at one address.

    `made`: how the current message was created; "" is the interaction's original response.
    `gone`: the response (or first follow-up) was deleted. `token_dead`: Discord refused the token.
    `sent`: a follow-up was sent whose id is not known yet.
    `origin_id`: the message where the job was requested, once another is in use; `origin_gone`: it was deleted.
    `heard`: whether the interaction was acknowledged, for a job stored before; None until checked. If it was not,
    Discord has told its member that it failed, and nothing else is sent.
    """

    message_id: int | None = None
    channel_id: int | None = None
    made: Made = ""
    gone: bool = False
    token_dead: bool = False
    sent: bool = False
    origin_id: int | None = None
    origin_gone: bool = False
    heard: bool | None = None


def posted(address: Address, stored: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages recorded for a job, as fields of `SentMessage`; without the interaction's original response."""
    by_token = {"app_id": address.app_id, "token": address.token, "expires_at": address.expires_at}
    found = []
    for state in (MessageState.from_stored(value) for value in stored.values() if isinstance(value, dict)):
        if state.message_id is not None and (state.made or address.slot != "original"):
            message = {"channel_id": state.channel_id or address.channel_id, "message_id": state.message_id}
            found.append(message | (by_token if state.made == "followup" else {}))
    return found


class DeliveryState:
    """Reads and writes the `MessageState` of one address of a job."""

    def __init__(self, reply_state: ReplyState, address: Address) -> None:
        self.reply_state = reply_state
        self._address = address
        self._cached: MessageState | None = None

    async def read(self) -> MessageState:
        """The state; read from the database once."""
        if self._cached is None:
            stored = (await self.reply_state.load()).get(self._address.key)
            state = MessageState.from_stored(stored if isinstance(stored, dict) else {})
            if state.message_id is None:
                state = replace(state, message_id=self._address.message_id)
            self._cached = state
        return self._cached

    async def switch_to(self, message_id: int, made: Made, channel_id: int | None = None) -> MessageState:
        """Make another message the current one, and remember where the job was requested, to close it there."""
        before = await self.read()
        origin_id, origin_gone = before.origin_id, before.origin_gone
        if before.made == "" or before.origin_id is None:
            origin_id, origin_gone = before.message_id, before.gone
        return await self.update(
            message_id=message_id,
            channel_id=channel_id,
            made=made,
            gone=False,
            origin_id=origin_id,
            origin_gone=origin_gone,
        )

    async def save_before_send(self, **changes: Any) -> None:
        """Commit changes before the call that they announce. Raises NotOwner."""
        self._cached = replace(await self.read(), **changes)
        await self.reply_state.save(**{self._address.key: self._cached.to_stored()})

    async def update(self, **changes: Any) -> MessageState:
        """Record changes that have happened; writes nothing when nothing changed."""
        before = await self.read()
        after = self._cached = replace(before, **changes)
        if after != before:
            await self.reply_state.record(**{self._address.key: after.to_stored()})
        return after


MAX_EXTRA_MESSAGES = 20
EXTRA_MESSAGES_TTL_S = 40 * 86_400.0


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message of ours: an ephemeral response by its interaction token, any other by channel and message id."""

    app_id: int = 0
    token: str = ""
    expires_at: float = 0.0
    channel_id: int = 0
    message_id: int = 0

    def is_reachable(self, now: float) -> bool:
        return not self.token or now + TOKEN_EXPIRY_MARGIN_S < self.expires_at


@dataclass(frozen=True, slots=True)
class ExtraMessages:
    messages: tuple[SentMessage, ...] = ()


class JobMessageStore:
    """Per job: the token of a later click on its message, and further messages that Delete must remove too."""

    def __init__(self, state: AppState, clock: Clock) -> None:
        self._clock = clock
        self._tokens = TypedState(state, "discord-token", SentMessage, ttl_s=TOKEN_TTL_S)
        self._messages = TypedState(state, "discord-beside", ExtraMessages, ttl_s=EXTRA_MESSAGES_TTL_S)

    async def save_token(self, job_id: str, token: SentMessage) -> None:
        if token.is_reachable(self._clock.now()):
            await self._tokens.put(job_id, token)

    async def token(self, job_id: str) -> str | None:
        """The saved token, or None when there is none that is still valid."""
        kept = await self._tokens.get(job_id)
        return kept.token if kept is not None and kept.is_reachable(self._clock.now()) else None

    async def token_expires_at(self, job_id: str) -> float:
        """When the saved token ends (unix seconds); 0 without one."""
        kept = await self._tokens.get(job_id)
        return kept.expires_at if kept is not None else 0.0

    async def forget_token(self, job_id: str) -> None:
        await self._tokens.delete(job_id)

    async def add_message(self, job_id: str, message: SentMessage) -> None:
        """Remember a message, of very many the newest. Does nothing when a newer release wrote the stored value."""

        def with_this(kept: ExtraMessages | None) -> ExtraMessages:
            return ExtraMessages((*(kept or ExtraMessages()).messages, message)[-MAX_EXTRA_MESSAGES:])

        with suppress(StorageUnavailable):
            await self._messages.change(job_id, with_this)

    async def take_messages(self, job_id: str) -> list[SentMessage]:
        """Remove and return the messages that can still be reached."""
        kept = await self._messages.get(job_id)
        if kept is None:
            return []
        await self._messages.delete(job_id)
        return [message for message in kept.messages if message.is_reachable(self._clock.now())]
