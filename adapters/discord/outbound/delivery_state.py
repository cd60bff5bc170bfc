"""What one job's message has been through, kept durably with the job. No tokens in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from adapters.discord.outbound.reply_address import Address
from core.ports import ReplyState

Made = Literal["", "followup", "channel", "direct_message"]


@dataclass(frozen=True, slots=True)
class Notes:
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
    def of(cls, stored: Any) -> Notes:
        """As they were stored; nothing noted where there is none, and what another version knew is left out."""
        names = {field.name for field in fields(cls)}
        return cls(**{k: v for k, v in stored.items() if k in names}) if isinstance(stored, dict) else cls()


def posted(address: Address, state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages that a job's notes name, as `Sent` has them; but the interaction's own answer, which is one."""
    by_token = {"app_id": address.app_id, "token": address.token, "expires_at": address.expires_at}
    found = []
    for notes in (Notes.of(value) for value in state.values()):
        if notes.message_id is not None and (notes.made or address.slot != "original"):
            one = {"channel_id": notes.channel_id or address.channel_id, "message_id": notes.message_id}
            found.append(one | (by_token if notes.made == "followup" else {}))
    return found


class DeliveryState:
    """The notes of one address among those of its job (a redelivery has notes of its own)."""

    def __init__(self, state: ReplyState, address: Address) -> None:
        self.state = state
        self._address = address
        self._known: Notes | None = None

    async def read(self) -> Notes:
        """The notes; read from the database once."""
        if self._known is None:
            self._known = Notes.of((await self.state.load()).get(self._address.key))
            if self._known.message_id is None and self._address.message_id is not None:
                self._known = replace(self._known, message_id=self._address.message_id)
        return self._known

    async def leave(self, message_id: int, made: Made, channel_id: int | None = None) -> Notes:
        """From now on another message is in use; where the job was asked is remembered, to be closed there."""
        before = await self.read()
        origin_id, origin_gone = before.origin_id, before.origin_gone
        if before.made == "" or before.origin_id is None:
            origin_id, origin_gone = before.message_id, before.gone
        return await self.write(
            message_id=message_id,
            channel_id=channel_id,
            made=made,
            gone=False,
            origin_id=origin_id,
            origin_gone=origin_gone,
        )

    async def intend(self, **changes: Any) -> None:
        """Change some durably to what is about to be sent. Raises NotOwner."""
        self._known = replace(await self.read(), **changes)
        await self.state.save(**{self._address.key: asdict(self._known)})

    async def write(self, **changes: Any) -> Notes:
        """Change some to what has happened; writes nothing when nothing changed."""
        before = await self.read()
        after = self._known = replace(before, **changes)
        if after != before:
            await self.state.record(**{self._address.key: asdict(after)})
        return after
