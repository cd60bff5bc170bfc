"""What is kept by job in the application's encrypted store: fresh tokens for its message, and its other messages.

A click on a message opens a new window of 15 minutes for it.
"""

from dataclasses import dataclass

from adapters.discord.outbound.reply_address import MESSAGE_IS_GONE_MARGIN_S, TOKEN_LIFE_S
from core.ports import AppState, Clock
from core.ports.typed_state import TypedState

MOST_MESSAGES = 20
MESSAGES_LIFE_S = 40 * 86_400.0


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of ours: a private answer by its interaction's token, every other one by channel and message."""

    app_id: int = 0
    token: str = ""
    expires_at: float = 0.0
    channel_id: int = 0
    message_id: int = 0

    def is_reachable(self, now: float) -> bool:
        return not self.token or now + MESSAGE_IS_GONE_MARGIN_S < self.expires_at


@dataclass(frozen=True, slots=True)
class Beside:
    """The messages of one job besides its own."""

    messages: tuple[Sent, ...] = ()


class KeptByJob:
    """The token of a click that opened a job's message again, and the messages besides that one, for Delete."""

    def __init__(self, state: AppState, clock: Clock) -> None:
        self._clock = clock
        self._tokens = TypedState(state, "discord-token", Sent, ttl_s=TOKEN_LIFE_S)
        self._messages = TypedState(state, "discord-beside", Beside, ttl_s=MESSAGES_LIFE_S)

    async def keep_token(self, job_id: str, token: Sent) -> None:
        if token.is_reachable(self._clock.now()):
            await self._tokens.put(job_id, token)

    async def token(self, job_id: str) -> str | None:
        """One that is alive by the clock, or None."""
        kept = await self._tokens.get(job_id)
        return kept.token if kept is not None and kept.is_reachable(self._clock.now()) else None

    async def forget_token(self, job_id: str) -> None:
        """The job is over, or Discord said that the token is dead."""
        await self._tokens.delete(job_id)

    async def add_message(self, job_id: str, message: Sent) -> None:
        """Remember one; of very many the newest."""
        kept = await self._messages.get(job_id) or Beside()
        await self._messages.put(job_id, Beside((*kept.messages, message)[-MOST_MESSAGES:]))

    async def take_messages(self, job_id: str) -> list[Sent]:
        """Those that can still be reached; they are forgotten."""
        kept = await self._messages.get(job_id) or Beside()
        await self._messages.delete(job_id)
        return [one for one in kept.messages if one.is_reachable(self._clock.now())]
