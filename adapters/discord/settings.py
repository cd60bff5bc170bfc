"""Discord's settings. Field names are those of the environment in lower case; only `bot` reads the environment."""

import re
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from core.net.host_check import WebAddress
from core.ports import LoginRefused

DEFAULT_API_URL = "https://discord.com/api/v10"


class DiscordLoginRefused(LoginRefused):
    """Discord does not accept the configured token."""


class Settings(BaseModel):
    """The adapter starts when `discord_token` is set.

    `discord_public_key` (hexadecimal, from the developer portal) switches from the gateway to HTTP interactions at
    `/discord/interactions`. `discord_shard_ids`: the shards of this process, None for all. `discord_shard_count`: the
    number of shards over all processes, None for what Discord recommends.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    discord_token: SecretStr | None = None
    discord_public_key: str | None = None
    discord_shard_ids: tuple[int, ...] | None = None
    discord_shard_count: int | None = Field(default=None, ge=1, le=100_000)
    discord_api_url: WebAddress = DEFAULT_API_URL
    shutdown_grace_s: float = Field(default=20, ge=0, le=600)

    @field_validator("discord_shard_ids", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not all(re.fullmatch("[0-9]{1,6}", part) for part in parts):
            raise ValueError("DISCORD_SHARD_IDS must be numbers with commas between them, for example 0,1.")
        return tuple(int(part) for part in parts) or None

    @field_validator("discord_token")
    @classmethod
    def _is_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[\w.-]+", value.get_secret_value()):
            raise ValueError("DISCORD_TOKEN must be the token alone, without quotes and without “Bot” before it.")
        return value

    @field_validator("discord_public_key")
    @classmethod
    def _is_key(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch("[0-9a-fA-F]{64}", value):
            raise ValueError("DISCORD_PUBLIC_KEY must be the 64 hexadecimal digits that the developer portal shows.")
        return value

    @property
    def api_host(self) -> str:
        """host[:port] of the API. Files there are trusted, because a proxy of the API sees our token anyway."""
        return urlsplit(self.discord_api_url).netloc.lower()

    @model_validator(mode="after")
    def _shards_agree(self) -> Self:
        if self.discord_shard_ids and self.discord_shard_count is None:
            raise ValueError("DISCORD_SHARD_IDS needs DISCORD_SHARD_COUNT beside it.")
        if self.discord_shard_ids and max(self.discord_shard_ids) >= (self.discord_shard_count or 0):
            raise ValueError("DISCORD_SHARD_IDS must all be below DISCORD_SHARD_COUNT, because shards count from 0.")
        return self

    @property
    def enabled(self) -> bool:
        return self.discord_token is not None

    @property
    def token(self) -> str:
        return self.discord_token.get_secret_value() if self.discord_token is not None else ""

    @property
    def drain_s(self) -> float:
        """How long running handlers may take when the process stops."""
        return min(5.0, self.shutdown_grace_s / 4)
