"""Fresh interaction tokens for a job's message: a click on it opens a new window of 15 minutes for the same message.

Kept by job in the application's encrypted store, and forgotten when the job has ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.discord.outbound.reply_address import MESSAGE_IS_GONE_MARGIN_S
from core.ports import AppState, Clock

_AREA = "discord-token"


@dataclass(frozen=True, slots=True)
class FreshTokens:
    """By job id."""

    state: AppState
    clock: Clock

    async def keep(self, job_id: str, token: str, expires_at: float) -> None:
        """Remember the token of a click whose answer is the job's own message."""
        await self.state.put(_AREA, job_id, {"token": token, "expires_at": expires_at})

    async def get(self, job_id: str) -> str | None:
        """A token that is alive by the clock, or None."""
        kept = await self.state.get(_AREA, job_id)
        if not isinstance(kept, dict) or self.clock.now() >= kept["expires_at"] - MESSAGE_IS_GONE_MARGIN_S:
            return None
        return str(kept["token"])

    async def forget(self, job_id: str) -> None:
        """The job is over, or Discord said that the token is dead."""
        await self.state.delete(_AREA, job_id)
