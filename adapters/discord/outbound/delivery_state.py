"""What is stored of one job's message, so that any process can carry it on: where it is, and what it has been through.

The address holds an interaction token: stored encrypted by the core, and never written to a log; so are the tokens and
messages that are kept by job in the application's encrypted store. The notes hold none.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self

from core.domain.errors import StorageUnavailable
from core.domain.job import ReplyAddress
from core.ports import AppState, Clock, ReplyState, TypedState

PLATFORM = "discord"
TOKEN_TTL_S = 15 * 60.0
"""Interactions: "tokens are valid for 15 minutes" (developer documents, read 2026-11-22)."""

TOKEN_EXPIRY_MARGIN_S = 3.0
"""A token this close to its end is not used: the edit would arrive too late and count as an invalid request."""


@dataclass(frozen=True, slots=True)
class Address:
    """`slot` says whether the job owns the answer itself (`original`), a follow-up made on first use, or a reply to
    the member's own `message`, whose id then stands in `interaction_id` and for which there is no token.

    `acknowledged` is False in what is written before the interaction is answered: a process that carries such a job
    on looks first whether its answer exists.
    `bot_inside`: the bot user can act in that channel by itself, so an edit after 15 minutes has a chance.
    `limit_bytes` is what the interaction announced for one file. Times are unix seconds.
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
        """Separates the notes of this address from those of another one of the same job (a redelivery)."""
        return f"{self.interaction_id}{self.part and ':'}{self.part}"

    def is_token_valid(self, now: float) -> bool:
        return now < self.expires_at - TOKEN_EXPIRY_MARGIN_S

    def followup(self, part: str) -> Self:
        """The address of a further job of the same interaction or message."""
        slot: Literal["message", "followup"] = "message" if self.slot == "message" else "followup"
        return replace(self, slot=slot, message_id=None, part=part)

    def to_reply(self) -> ReplyAddress:
        return ReplyAddress(PLATFORM, {field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def from_reply(cls, reply: ReplyAddress) -> Self:
        """The stored address again; unknown keys of a newer version are ignored."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in reply.data.items() if name in known})


Made = Literal["", "followup", "channel", "direct_message"]


@dataclass(frozen=True, slots=True)
class MessageState:
    """`made`: how the message now in use came to be, "" for the interaction's own answer.

    `heard`: whether there is an answer to an interaction whose job was written first; None until that was looked at.
    Where there is none its member was told by Discord that it failed, and is told nothing else.
    `gone`: the answer (or first follow-up) was deleted. `token_dead`: Discord said so; it is never used again.
    `sent`: a follow-up was sent whose id is not known yet.
    `origin_id`: the message where the job was asked, once another one is in use; `origin_gone`: it was deleted.
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

    @classmethod
    def of(cls, stored: Any) -> Self:
        """As they were stored; nothing noted where there is none, and what another version knew is left out."""
        names = {field.name for field in fields(cls)}
        return cls(**{k: v for k, v in stored.items() if k in names}) if isinstance(stored, dict) else cls()


def posted(address: Address, state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages recorded for a job, as fields of `SentMessage`; without the interaction's original response."""
    by_token = {"app_id": address.app_id, "token": address.token, "expires_at": address.expires_at}
    found = []
    for notes in (MessageState.of(value) for value in state.values()):
        if notes.message_id is not None and (notes.made or address.slot != "original"):
            one = {"channel_id": notes.channel_id or address.channel_id, "message_id": notes.message_id}
            found.append(one | (by_token if notes.made == "followup" else {}))
    return found


class DeliveryState:
    """The notes of one address among those of its job (a redelivery has notes of its own)."""

    def __init__(self, state: ReplyState, address: Address) -> None:
        self.reply_state = state
        self._address = address
        self._cached: MessageState | None = None

    async def read(self) -> MessageState:
        """The notes; read from the database once."""
        if self._cached is None:
            self._cached = MessageState.of((await self.reply_state.load()).get(self._address.key))
            if self._cached.message_id is None and self._address.message_id is not None:
                self._cached = replace(self._cached, message_id=self._address.message_id)
        return self._cached

    async def switch_to(self, message_id: int, made: Made, channel_id: int | None = None) -> MessageState:
        """From now on another message is in use; where the job was asked is remembered, to be closed there."""
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
        """Change some durably to what is about to be sent. Raises NotOwner."""
        self._cached = replace(await self.read(), **changes)
        await self.reply_state.save(**{self._address.key: asdict(self._cached)})

    async def update(self, **changes: Any) -> MessageState:
        """Change some to what has happened; writes nothing when nothing changed."""
        before = await self.read()
        after = self._cached = replace(before, **changes)
        if after != before:
            await self.reply_state.record(**{self._address.key: asdict(after)})
        return after


MAX_EXTRA_MESSAGES = 20
EXTRA_MESSAGES_TTL_S = 40 * 86_400.0


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message of ours: a private answer by its interaction's token, every other one by channel and message."""

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
    """The token of a click that opened a job's message again, and the messages besides that one, for Delete."""

    def __init__(self, state: AppState, clock: Clock) -> None:
        self._clock = clock
        self._tokens = TypedState(state, "discord-token", SentMessage, ttl_s=TOKEN_TTL_S)
        self._messages = TypedState(state, "discord-beside", ExtraMessages, ttl_s=EXTRA_MESSAGES_TTL_S)

    async def save_token(self, job_id: str, token: SentMessage) -> None:
        if token.is_reachable(self._clock.now()):
            await self._tokens.put(job_id, token)

    async def token(self, job_id: str) -> str | None:
        """One that is alive by the clock, or None."""
        kept = await self._tokens.get(job_id)
        return kept.token if kept is not None and kept.is_reachable(self._clock.now()) else None

    async def forget_token(self, job_id: str) -> None:
        await self._tokens.delete(job_id)

    async def add_message(self, job_id: str, message: SentMessage) -> None:
        """Remember one; of very many the newest. None where a newer release has written what is there."""

        def with_this(kept: ExtraMessages | None) -> ExtraMessages:
            return ExtraMessages((*(kept or ExtraMessages()).messages, message)[-MAX_EXTRA_MESSAGES:])

        with suppress(StorageUnavailable):
            await self._messages.change(job_id, with_this)

    async def take_messages(self, job_id: str) -> list[SentMessage]:
        """Those that can still be reached; they are forgotten."""
        kept = await self._messages.get(job_id)
        if kept is None:
            return []
        await self._messages.delete(job_id)
        return [one for one in kept.messages if one.is_reachable(self._clock.now())]
