"""Slack's settings. Field names are those of the environment variables in lower case; `bot` reads the environment."""

import re
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from core.net.host_check import WebAddress

_COMMAND = re.compile(r"/[a-z0-9_-]{1,31}")
_BELONGS_IN = {"SLACK_BOT_TOKEN": ("xoxb-", "xoxe.xoxb-"), "SLACK_APP_TOKEN": ("xapp-",)}

TOKEN_FIX = {
    "SLACK_BOT_TOKEN": "Copy the Bot User OAuth Token from “OAuth & Permissions” into SLACK_BOT_TOKEN.",
    "SLACK_APP_TOKEN": "Create an app-level token with the scope connections:write and put it into SLACK_APP_TOKEN.",
}
"""What to do if Slack refuses a token, by its variable."""


class Settings(BaseModel):
    """Credentials and addresses.

    One workspace: `slack_bot_token`. Many: `slack_client_id` and `slack_client_secret` (people install at
    `/slack/install`; `PUBLIC_URL` must be set). Events come over Socket Mode when `slack_app_token` is set, else over
    signed HTTP at `/slack/events`, which needs `slack_signing_secret`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    slack_bot_token: SecretStr | None = None
    slack_app_token: SecretStr | None = None
    slack_signing_secret: SecretStr | None = None
    slack_client_id: str | None = None
    slack_client_secret: SecretStr | None = None
    slack_command: str = "/upscale"
    slack_api_url: WebAddress = "https://slack.com/api/"
    slack_authorize_url: WebAddress = "https://slack.com/oauth/v2/authorize"
    slack_sockets: int = Field(default=2, ge=1, le=10)
    """Connections in Socket Mode: two, so that one remains while Slack recycles the other; Slack allows ten."""
    public_url: str | None = None
    retention_days: int = Field(default=7, ge=1)

    @field_validator("slack_command")
    @classmethod
    def _command_shape(cls, value: str) -> str:
        command = value if value.startswith("/") else f"/{value}"
        if not _COMMAND.fullmatch(command):
            raise ValueError(f"SLACK_COMMAND={value} must be a slash and at most 31 of a-z, 0-9, - and _.")
        return command

    @field_validator("slack_api_url")
    @classmethod
    def _ends_with_slash(cls, value: str) -> str:
        return value if value.endswith("/") else f"{value}/"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.enabled:
            return self
        self._check_prefix("SLACK_BOT_TOKEN", self.slack_bot_token)
        self._check_prefix("SLACK_APP_TOKEN", self.slack_app_token)
        if bool(self.slack_client_id) != bool(self.slack_client_secret):
            raise ValueError("SLACK_CLIENT_ID and SLACK_CLIENT_SECRET belong together; set both or neither.")
        if not self.slack_bot_token and not self.slack_client_id:
            raise ValueError("Slack needs SLACK_BOT_TOKEN (one workspace) or SLACK_CLIENT_ID and SLACK_CLIENT_SECRET.")
        if not self.slack_app_token and not self.slack_signing_secret:
            raise ValueError("Slack needs SLACK_APP_TOKEN (Socket Mode) or SLACK_SIGNING_SECRET (HTTP).")
        return self

    @staticmethod
    def _check_prefix(name: str, value: SecretStr | None) -> None:
        given = secret(value)
        other = next((name for name, start in _BELONGS_IN.items() if given.startswith(start)), name)
        if given and other != name:
            raise ValueError(f"{name} holds a token for {other}; put each into its own.")
        if given and not given.startswith(_BELONGS_IN[name]):
            raise ValueError(f"{name} does not look right: it must start with {_BELONGS_IN[name][0]}.")

    @property
    def enabled(self) -> bool:
        """Whether any credential of Slack is set; all required ones must be set then."""
        return any((self.slack_bot_token, self.slack_app_token, self.slack_client_id, self.slack_signing_secret))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What will not work, but does not prevent the start."""
        if not self.enabled or self.public_url:
            return ()
        found = []
        if not self.socket_mode:
            found.append(
                "Slack cannot reach the bot: it sends events to PUBLIC_URL/slack/events. "
                "Set PUBLIC_URL, or SLACK_APP_TOKEN for Socket Mode."
            )
        if self.slack_client_id:
            found.append("Nobody can install the Slack app: that happens at PUBLIC_URL/slack/install. Set PUBLIC_URL.")
        return tuple(found)

    @property
    def socket_mode(self) -> bool:
        return self.slack_app_token is not None

    @property
    def api_host(self) -> str:
        """host[:port] of the Web API, which gets our tokens anyway, so its files are trusted, too."""
        return urlsplit(self.slack_api_url).netloc.lower()


def secret(value: SecretStr | None) -> str:
    return value.get_secret_value() if value is not None else ""
