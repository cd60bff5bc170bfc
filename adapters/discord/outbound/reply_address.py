"""Where one job's message is on Discord: everything that any process needs to carry it on. Pure data.

Holds an interaction token: stored encrypted by the core, and never written to a log.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

from core.domain.job import ReplyAddress

PLATFORM = "discord"
TOKEN_LIFE_S = 15 * 60.0
"""Interactions: "tokens are valid for 15 minutes" (developer documents, read 2026-11-22)."""

MESSAGE_IS_GONE_MARGIN_S = 3.0
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

    def token_alive(self, now: float) -> bool:
        return now < self.expires_at - MESSAGE_IS_GONE_MARGIN_S

    def followup(self, part: str) -> Address:
        """The address of a further job of the same interaction or message."""
        slot: Literal["message", "followup"] = "message" if self.slot == "message" else "followup"
        return replace(self, slot=slot, message_id=None, part=part)

    def to_reply(self) -> ReplyAddress:
        return ReplyAddress(PLATFORM, {field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def from_reply(cls, reply: ReplyAddress) -> Address:
        """The stored address again; unknown keys of a newer version are ignored."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in reply.data.items() if name in known})
