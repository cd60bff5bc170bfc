"""What is kept by job in the application's encrypted store: fresh tokens for its message, and its other messages.

A click on a message opens a new window of 15 minutes for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.discord.outbound.reply_address import MESSAGE_IS_GONE_MARGIN_S
from core.ports import AppState, Clock

_TOKENS, _MESSAGES = "discord-token", "discord-beside"
MOST_MESSAGES = 20
MESSAGES_LIFE_S = 40 * 86_400.0


@dataclass(frozen=True, slots=True)
class KeptByJob:
    """The token of a click whose answer is the job's own message; and its messages besides, for Delete to take along.

    A private answer is known by the token of its interaction, every other one by channel and message.
    """

    state: AppState
    clock: Clock

    async def keep_token(self, job_id: str, token: str, expires_at: float) -> None:
        left_s = expires_at - MESSAGE_IS_GONE_MARGIN_S - self.clock.now()
        if left_s > 0:
            await self.state.put(_TOKENS, job_id, {"token": token}, ttl_s=left_s)

    async def token(self, job_id: str) -> str | None:
        """One that is alive by the clock, or None."""
        kept = await self.state.get(_TOKENS, job_id)
        return str(kept["token"]) if kept else None

    async def forget_token(self, job_id: str) -> None:
        """The job is over, or Discord said that the token is dead."""
        await self.state.delete(_TOKENS, job_id)

    async def add_message(self, job_id: str, message: Mapping[str, Any]) -> None:
        """Remember one; of very many the newest."""
        kept = await self.state.get(_MESSAGES, job_id) or {}
        messages = [*kept.get("messages", ()), dict(message)][-MOST_MESSAGES:]
        await self.state.put(_MESSAGES, job_id, {"messages": messages}, ttl_s=MESSAGES_LIFE_S)

    async def take_messages(self, job_id: str) -> list[dict[str, Any]]:
        """Those that can still be reached; they are forgotten."""
        kept = await self.state.get(_MESSAGES, job_id) or {}
        await self.state.delete(_MESSAGES, job_id)
        now = self.clock.now() + MESSAGE_IS_GONE_MARGIN_S
        return [one for one in kept.get("messages", ()) if one.get("expires_at", now + 1) > now]
