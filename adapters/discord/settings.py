"""What an operator can set for Discord. Read from the environment by the application, never here."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_API_URL = "https://discord.com/api/v10"


class DiscordLoginRefused(Exception):
    """Discord does not accept the token, or cannot be used as configured; says so in one plain sentence."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`DISCORD_*` of `.env.example`.

    `public_key` (hex) switches from the gateway to HTTP interactions. `shard_ids` are those of this process, None
    for all of them; `shard_count` is the number over all processes, None for Discord's recommendation.
    """

    token: str
    api_url: str = DEFAULT_API_URL
    public_key: str | None = None
    shard_ids: tuple[int, ...] | None = None
    shard_count: int | None = None
    shutdown_grace_s: float = 5.0

    def __post_init__(self) -> None:
        if self.public_key is not None and not _is_key(self.public_key):
            raise DiscordLoginRefused("DISCORD_PUBLIC_KEY must be the 64 hexadecimal digits of the developer portal.")
        if self.shard_ids is not None and self.shard_count is None:
            raise DiscordLoginRefused("DISCORD_SHARD_IDS needs DISCORD_SHARD_COUNT beside it.")
        if self.shard_ids and self.shard_count is not None and max(self.shard_ids) >= self.shard_count:
            raise DiscordLoginRefused("DISCORD_SHARD_IDS must all be below DISCORD_SHARD_COUNT.")


def _is_key(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == 32
    except ValueError:
        return False
