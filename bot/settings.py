"""All settings, read once. The only module that reads the environment and `.env`.

Field names are the environment's names in lower case; `.env.example` documents each with its default and unit, and a
test compares the two. Adapters have their own settings, found in the `adapters` package, so a new platform changes
nothing here. Secrets are `SecretStr` and never part of a message.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource

import adapters
from bot.settings_problems import SettingsError, encoding_of, explain, lines_of, misspelt, plaintext_urls
from core.accounts.allowlist import EVERYBODY
from core.domain.identity import TEAM_SCOPED
from core.domain.models import ALL, MODELS, Models
from core.domain.money import NANOUSD_PER_USD
from core.net.client_address import TrustedProxies
from core.net.host_check import BareHost, WebAddress

Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000_000, decimal_places=9)]
_OF_LIBRARIES = ("aws_", "otel_")
"""Environment variables that the object store's and the trace exporter's libraries read themselves."""

NO_LIMIT = frozenset({"", "none", "off"})
"""Values for "no such limit". Only for limits, an empty value is not the same as an unset one."""


@runtime_checkable
class AdapterSettings(Protocol):
    """The part of an adapter's settings that the application uses."""

    @property
    def enabled(self) -> bool:
        """Whether the credentials are set, so that the platform is started."""


@dataclass(frozen=True)
class Platform:
    """An adapter: its validated settings, and its package, whose `create` imports the SDK."""

    name: str
    settings: AdapterSettings
    package: Any


def _split(value: Any) -> Any:
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(re.sub("^https?://|/$", "", part.strip()) for part in parts if part.strip())


_IDS = {"discord": r"\d+", "slack": "[A-Z][A-Z0-9]*"}
"""Patterns of ids. Any other text could never match anybody."""


def _place(entry: str, *, of_people: bool) -> str:
    """Check an entry of ALLOWED_WORKSPACES or ALLOWED_USERS. Raises ValueError if it could never match anybody."""
    platform, *ids = entry.split(":")
    platform = platform.lower() if ids else ""
    unnamed = _IDS["discord"] if of_people else "|".join(_IDS.values())  # a person at Slack has a team, too
    is_id = re.compile(_IDS.get(platform, unnamed)).fullmatch
    team_scoped = of_people and platform in TEAM_SCOPED
    known = platform_names()
    if entry == EVERYBODY:
        return entry
    well_formed = re.fullmatch(r"[A-Za-z0-9]+(:[A-Za-z0-9]+){0,2}", entry) and len(ids) <= 1 + team_scoped
    if not well_formed or (platform in {"", *known} and not all(map(is_id, ids or [entry]))):
        example = "discord:1234 or slack:T0123:U0123" if of_people else "discord:1234 or slack:T0123"
        raise ValueError(f"must be ids such as {example}, not “{entry[:40]}”")
    if ids and platform not in known:
        raise ValueError(f"names a platform that is not there, “{platform[:40]}”; there is {', '.join(known)}")
    if team_scoped and len(ids) < 2:
        raise ValueError(f"needs the team too, as {platform}:T0123:U0123, not “{entry[:40]}”")
    return ":".join((platform, *ids)) if ids else entry


def _known_models(value: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := set(value) - set(ALL.ids):
        raise ValueError(f"names no model: {', '.join(sorted(unknown))} (there is {', '.join(ALL.ids)})")
    return tuple(dict.fromkeys(value))


def _must(accepts: Callable[[Any], object], message: str) -> AfterValidator:
    """Refuse a value with `message` unless `accepts` returns something true."""

    def check(value: Any) -> Any:
        with suppress(KeyError, ValueError, OSError):
            if accepts(value):
                return value
        raise ValueError(message)

    return AfterValidator(check)


AnyCase = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
Split = BeforeValidator(_split)
Words = Annotated[tuple[str, ...], Split, AnyCase]
Workspaces = Annotated[tuple[Annotated[str, AfterValidator(partial(_place, of_people=False))], ...], Split]
People = Annotated[tuple[Annotated[str, AfterValidator(partial(_place, of_people=True))], ...], Split]
"""Ids as the platforms write them; the platform's name in any case."""

Key = Annotated[
    SecretStr,
    _must(
        lambda key: not re.search(r"[\s'\"]", key.get_secret_value().strip()),
        "has a space or a quote in it; write the key alone, as id:secret",
    ),
]
PublicAddress = Annotated[
    WebAddress,
    _must(
        re.compile(r"https?://[^/?#@\s]+(/[^?#\s]*)?").fullmatch,
        "must be an address without a user name, ? or #, such as https://upscale.example.com",
    ),
]
_SYSTEM = ("/bin", "/dev", "/etc", "/home", "/lib", "/opt", "/run", "/tmp", "/usr", "/var/lib", "/var/log")  # noqa: S108
DataDir = Annotated[
    Path,
    _must(  # everything in it is closed to other users
        lambda folder: not any(Path(one).resolve().is_relative_to(folder.expanduser().resolve()) for one in _SYSTEM),
        "must be a folder of the bot's own, such as /var/lib/upscale-bot",
    ),
]
TimeZone = Annotated[str, _must(ZoneInfo, "must be a time zone's name, such as UTC or Europe/Berlin")]
Proxies = Annotated[Words, _must(TrustedProxies.of, "must be addresses or networks, such as 127.0.0.1 or 10.0.0.0/8")]


class Settings(BaseModel):
    """The bot's own settings. Sizes are bytes or pixels, times seconds or days, money US dollars, as the names say."""

    model_config = ConfigDict(extra="ignore", frozen=True, arbitrary_types_allowed=True)

    fal_key: Key | None = None
    fal_admin_key: Key | None = None
    upscale_backend: Annotated[Literal["fal", "local", "sandbox"] | None, AnyCase] = None
    models: Annotated[Words, AfterValidator(_known_models)] = ()
    fal_queue_url: WebAddress = "https://queue.fal.run"
    fal_rest_url: WebAddress = "https://rest.fal.ai"
    fal_cdn_url: WebAddress = "https://v3.fal.media"
    fal_api_url: WebAddress = "https://api.fal.ai/v1"

    web_host: BareHost = "127.0.0.1"
    web_port: int = Field(default=8080, ge=0, le=65_535)
    web_token: SecretStr | None = None
    public_url: PublicAddress | None = None
    trusted_proxies: Proxies = ()
    secret_key: SecretStr | None = Field(default=None, min_length=16)
    secret_key_old: SecretStr | None = Field(default=None, min_length=16)

    database_url: SecretStr | None = None
    data_dir: DataDir = Path("data")
    files_url: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_region: str | None = None
    aws_endpoint_url: WebAddress | None = None
    retention_days: int = Field(default=7, ge=1, le=3650)
    history_days: int = Field(default=400, ge=30, le=36_500)

    max_input_bytes: int = Field(default=50_000_000, ge=1_000)
    max_input_pixels: int = Field(default=64_000_000, ge=256)
    min_input_side_px: int = Field(default=16, ge=1)
    max_output_side_px: int = Field(default=14_142, ge=16)
    max_output_pixels: int = Field(default=100_000_000, ge=256)
    trusted_file_hosts: Words = ()
    disk_member_bytes: int = Field(default=5_000_000_000, ge=1_000_000)
    disk_unpaid_bytes: int = Field(default=500_000_000, ge=1_000_000)
    disk_all_bytes: int = Field(default=50_000_000_000, ge=1_000_000)
    disk_free_bytes: int = Field(default=1_000_000_000, ge=0)

    upscale_price_per_mp_usd: Annotated[Dollars, Field(le=100)] | None = None
    confirm_above_usd: Dollars = Decimal("1.00")
    limit_user_day_usd: Dollars | None = Decimal(5)
    limit_workspace_day_usd: Dollars | None = Decimal(25)
    limit_global_day_usd: Dollars | None = Decimal(100)
    limit_user_running: int | None = Field(default=3, ge=1)
    fal_concurrency: int | None = Field(default=None, ge=1)
    limit_user_waiting: int | None = Field(default=20, ge=0)
    limits_file: Annotated[Path, _must(Path.is_file, "names a file that is not there")] | None = None
    allowed_workspaces: Workspaces = ()
    allowed_users: People = ()
    allow_outsiders: bool = False
    quota_timezone: TimeZone = "UTC"
    allow_unsafe: bool = False

    role: Annotated[Literal["all", "chat", "worker"], AnyCase] = "all"
    shutdown_grace_s: float = Field(default=20, ge=0, le=600)
    log_level: Annotated[Literal["debug", "info", "warning", "error"], AnyCase] = "info"
    otel_exporter_otlp_endpoint: WebAddress | None = None
    log_format: Annotated[Literal["auto", "json", "pretty"], AnyCase] = "auto"

    platforms: tuple[Platform, ...] = Field(default=(), exclude=True)
    """Filled by `load`; not a setting."""
    warnings: tuple[str, ...] = Field(default=(), exclude=True)
    """Warnings about `.env`."""

    @property
    def backend(self) -> Literal["fal", "local", "sandbox"]:
        """The provider of the models: as set, else fal if there is a key, else the sandbox."""
        return self.upscale_backend or ("fal" if self.fal_key else "sandbox")

    @cached_property
    def offered(self) -> Models:
        """The offered models: those in `MODELS`, else all of the provider's; with nothing set, `local` before them."""
        unset = self.upscale_backend is None and self.backend == "sandbox"
        return ALL.for_provider(self.backend, self.models or (("local", *MODELS.ids) if unset else ()))

    @cached_property
    def database(self) -> str:
        """The database's address. It may contain a password, so never log it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{(self.data_dir / 'bot.db').as_posix()}"

    @property
    def confirm_above_nanousd(self) -> int:
        return nanousd(self.confirm_above_usd)

    @property
    def unit_price_nanousd(self) -> int | None:
        """`UPSCALE_PRICE_PER_MP_USD` in nano-dollars per megapixel; None: ask fal, else the built-in default."""
        return None if self.upscale_price_per_mp_usd is None else nanousd(self.upscale_price_per_mp_usd)


def nanousd(dollars: Decimal) -> int:
    """Convert US dollars to nano-dollars, exactly (settings allow at most nine decimals)."""
    return int(dollars * NANOUSD_PER_USD)


def secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value is not None else None


def load(env_file: Path | str | None = ".env", **given: str) -> Settings:
    """Read the settings: `given`, else the environment, else `.env`. Raises SettingsError with all mistakes."""
    problems, in_file = lines_of(env_file)
    if problems:
        raise SettingsError(problems)
    values, typed = _environment(env_file)
    values |= given
    found = [(name, importlib.import_module(f"adapters.{name}")) for name in platform_names()]
    validated = ((name, _validated(module.Settings, values, problems), module) for name, module in found)
    platforms = [Platform(name, part, module) for name, part, module in validated if part is not None]
    own: Settings | None = _validated(Settings, values, problems)
    if own is not None and own.backend == "fal" and own.fal_key is None:
        problems.append("UPSCALE_BACKEND is fal, so FAL_KEY must be set.")
    if own is not None and own.role != "all" and own.database.startswith("sqlite"):
        problems.append(f"ROLE is {own.role}, so DATABASE_URL must name the PostgreSQL that all processes share.")
    if problems or own is None:
        raise SettingsError(problems)
    known = {
        name.upper() for kind in (Settings, *(module.Settings for _, module in found)) for name in kind.model_fields
    }
    found_here = {"data_dir": own.data_dir.expanduser().absolute()}  # workers run in folders of their own
    parts = [platform.settings for platform in platforms]
    of_adapters = (warning for part in parts for warning in getattr(part, "warnings", ()))
    warnings = (*misspelt(typed, in_file, known), *plaintext_urls([own, *parts]), *_not_offered(own), *of_adapters)
    return own.model_copy(update={**found_here, "platforms": tuple(platforms), "warnings": warnings})


def _not_offered(s: Settings) -> tuple[str, ...]:
    if not s.models or any(map(s.offered.find, s.models)):
        return ()
    return (f"MODELS names no model that UPSCALE_BACKEND={s.backend} offers, so it is ignored.",)


def _environment(env_file: Path | str | None) -> tuple[dict[str, str], list[str]]:
    """Return all variables by lower-case name, without empty ones (except limits), and the names to spell-check."""
    from_file = DotEnvSettingsSource(BaseSettings, env_file, encoding_of(env_file)).env_vars if env_file else {}
    merged = {**from_file, **EnvSettingsSource(BaseSettings).env_vars}
    values = {name.lower(): (value or "").strip() for name, value in merged.items()}
    kept = {name: value for name, value in values.items() if value or name.startswith("limit_")}
    for name in [name for name in kept if name.startswith("limit_") and kept[name].lower() in NO_LIMIT]:
        kept[name] = None  # type: ignore[assignment]
    return kept, [name.upper() for name in merged if name in from_file or not name.startswith(_OF_LIBRARIES)]


def platform_names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(adapters.__path__) if module.ispkg)


def _validated(kind: type[BaseModel], values: Mapping[str, Any], problems: list[str]) -> Any:
    try:
        return kind.model_validate({name: values[name] for name in kind.model_fields if name in values})
    except ValidationError as error:
        problems.extend(sentence for sentence in explain(error, kind) if sentence not in problems)
        return None
