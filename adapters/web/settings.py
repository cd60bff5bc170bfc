"""The page's settings. Field names are those of the environment in lower case; only `bot` reads the environment."""

from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from core.net.host_check import BareHost, is_loopback
from core.net.token_gate import MIN_TOKEN_CHARS

_BELOW_A_PATH = (
    "PUBLIC_URL has a path: webhooks and files can be reached below it, but the page cannot, so Share is not offered; "
    "the page needs a host name of its own."
)


class Settings(BaseModel):
    """Where the page listens and who may use it.

    `web_token`: the password of the page and the bearer token of its API; required when another machine can reach it.
    `public_url`: the server's URL from outside, behind a proxy. `max_input_bytes`: the largest upload that is read;
    the core may refuse smaller ones. The limits in pixels are the core's; the page checks them before it asks a price.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    web_host: BareHost = "127.0.0.1"
    web_port: int = Field(default=8080, ge=0, le=65_535)
    web_token: SecretStr | None = None
    public_url: str | None = None
    max_input_bytes: int = Field(default=50_000_000, gt=0)
    max_input_pixels: int = Field(default=64_000_000, gt=0)
    min_input_side_px: int = Field(default=16, gt=0)
    max_output_side_px: int = Field(default=14_142, gt=0)
    retention_days: int = Field(default=7, ge=1)
    max_output_pixels: int = Field(default=100_000_000, gt=0)

    @model_validator(mode="after")
    def _reachable_needs_token(self) -> Self:
        reachable = not is_loopback(self.web_host)
        published = (self.public_url or "").startswith(("https://", "http://"))
        token = self.token
        if reachable and token is None:
            raise ValueError(
                f"WEB_HOST={self.web_host} lets other machines reach the page, so WEB_TOKEN must be set; "
                "or leave WEB_HOST at 127.0.0.1."
            )
        if published and token is None:
            raise ValueError("PUBLIC_URL lets everybody reach the page, so WEB_TOKEN must be set too.")
        if token is not None and len(token) < MIN_TOKEN_CHARS and (reachable or published):
            raise ValueError(
                f"WEB_TOKEN must be at least {MIN_TOKEN_CHARS} characters long, because others can reach the page."
            )
        return self

    @property
    def enabled(self) -> bool:
        return True

    @property
    def warnings(self) -> tuple[str, ...]:
        return (_BELOW_A_PATH,) if urlsplit(self.public_url or "").path else ()

    @property
    def token(self) -> str | None:
        return self.web_token.get_secret_value() if self.web_token else None
