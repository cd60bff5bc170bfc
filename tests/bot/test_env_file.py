"""`.env` with mistakes: unreadable lines, misspelt names, and other encodings."""

from decimal import Decimal
from pathlib import Path

import pytest

from bot.cli.setup import write_env
from bot.providers import object_store
from bot.settings import load
from bot.settings_problems import SettingsError
from core.ports import NotUsable
from tests.bot.test_settings import _bare_environment, _load, _problems

__all__ = ["_bare_environment"]


def test_lines_of_the_env_file_that_cannot_be_read_are_named_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("WEB_PORT=1\nhunter2 is my password\n# fine\nSECRET='open\n")
    with pytest.raises(SettingsError) as caught:
        load(file)
    assert caught.value.problems[:2] == (
        "Line 2 of .env cannot be read; write NAME=value, or # before a remark.",
        "Line 4 of .env cannot be read; write NAME=value, or # before a remark.",
    )
    file.write_bytes(b"WEB_PORT=1\n\xff\xfe\n")
    with pytest.raises(SettingsError, match="UTF-8"):
        load(file)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("DISCORD_TOKN", "DISCORD_TOKEN"),
        ("FAL_API_KEY", "FAL_KEY"),
        ("FAL_ADMIM_KEY", "FAL_ADMIN_KEY"),
        ("QUOTA_TZ", "QUOTA_TIMEZONE"),
        ("SECRET_KEY_OLDD", "SECRET_KEY_OLD"),
        ("LIMIT_USER_DAY", "LIMIT_USER_DAY_USD"),
        ("FAL_COLOUR", ""),
        ("SSH_AGENT_PID", ""),
        ("WEB_CONCURRENCY", ""),  # a hoster's own
        ("AWS_DEFAULT_REGION", ""),  # read by the object store itself
        ("OTEL_EXPORTER_OTLP_PROTOCOL", ""),
    ],
)
def test_a_mistyped_name_in_the_environment_is_named_too(
    monkeypatch: pytest.MonkeyPatch, written: str, meant: str
) -> None:
    told = (f"{written} is not a setting and is ignored; did you mean {meant}?",)
    assert _load(monkeypatch, **{written: "x"}).warnings == (told if meant else ())


def test_a_strange_name_and_a_doubled_one_in_the_file_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("FAL_TOKEN=a\nPOSTGRES_PASSWORD=b\nWEB_PORT=1\nweb_port=2\n")
    assert _load(monkeypatch).warnings == (
        "FAL_TOKEN is not a setting and is ignored.",
        "WEB_PORT is set more than once in .env; the last line counts.",
    )


@pytest.mark.parametrize("token", ["Bot hunter2.a.b", '"hunter2.a.b"', "MTE:hunter2"])
def test_a_token_that_cannot_be_one_is_told_before_discord_is_asked(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    told = "DISCORD_TOKEN must be the token alone, without quotes and without “Bot” before it."
    assert _problems(monkeypatch, DISCORD_TOKEN=token) == (told,)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SLACK_API_URL", "slack.com/api", "must be an address that starts with https:// (or http://)."),
        ("DISCORD_API_URL", "discord.com", "must be an address that starts with https:// (or http://)."),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "must be an address that starts with https:// (or http://)."),
        ("ALLOWED_USERS", "U9", "must be ids such as discord:1234 or slack:T0123:U0123, not “U9”."),
        ("LIMIT_USER_DAY_USD", "9" * 26, f"must be at most 1000000000, not “{'9' * 26}”."),
    ],
)
def test_addresses_and_amounts_that_cannot_be_meant_are_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    assert _problems(monkeypatch, **{name: value}) == (f"{name} {told}",)


@pytest.mark.parametrize("url", ["bucket/prefix", "https://s3.amazonaws.com/bucket", "s3://", "ftp://x"])
def test_an_address_of_no_object_store_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    with pytest.raises(NotUsable, match=r"^FILES_URL is no address of an object store; .*s3://bucket/prefix\.$"):
        object_store(url, _load(monkeypatch))
    with pytest.raises(NotUsable, match=r"^AWS_ENDPOINT_URL must be an address that starts with https://"):
        _load(monkeypatch, AWS_ENDPOINT_URL="minio:9000")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom"])
def test_a_file_with_the_mark_of_its_encoding_is_read_and_added_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoding: str
) -> None:
    file, name = tmp_path / ".env", encoding.removesuffix("-bom")
    mark = "" if name == encoding else "\ufeff"
    file.write_bytes(f"{mark}LIMIT_USER_DAY_USD=1\r\n# Größe\r\nWEB_PORT=1\r\n".encode(name))
    write_env(file, {"WEB_PORT": "2", "LOG_LEVEL": "debug"})
    found = _load(monkeypatch)
    assert (found.limit_user_day_usd, found.web_port, found.log_level) == (Decimal(1), 2, "debug")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32", "latin-1"])
@pytest.mark.parametrize("remark", ["", "# Größe"])
def test_a_file_of_another_encoding_starts_nothing_with_defaults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoding: str, remark: str
) -> None:
    (tmp_path / ".env").write_bytes(f"LIMIT_USER_DAY_USD=1\n{remark}\n".encode(encoding))
    if encoding == "latin-1" and not remark:
        assert _load(monkeypatch).limit_user_day_usd == 1
    else:
        assert _problems(monkeypatch) == (".env is not text in UTF-8; save it as UTF-8.",)


@pytest.mark.parametrize(
    "address", ["https://", "https://u:p@x.example", "https://x.example/?a=b", "https://x.example/#a"]
)
def test_the_public_address_is_an_address_alone(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    [problem] = _problems(monkeypatch, PUBLIC_URL=address, WEB_TOKEN="a token of many words")
    assert problem.startswith("PUBLIC_URL must be an address without a user name, ? or #")


def test_a_public_address_with_a_path_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    [warning] = _load(monkeypatch, PUBLIC_URL="https://x.example/bot", WEB_TOKEN="a token of many words").warnings
    assert warning.startswith("PUBLIC_URL has a path")


def test_models_that_the_backend_does_not_offer_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _load(monkeypatch, MODELS="local,flux", UPSCALE_BACKEND="local").warnings == ()
    (warning,) = _load(monkeypatch, MODELS="flux", UPSCALE_BACKEND="local").warnings
    assert warning == "MODELS names no model that UPSCALE_BACKEND=local offers, so it is ignored."
