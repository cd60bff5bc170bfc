"""The settings, and the messages about mistakes in them."""

import importlib
import itertools
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from bot.providers import ledger_settings
from bot.settings import Settings, load, platform_names, secret
from bot.settings_problems import SettingsError
from core.budgets.rules import RuleSet
from tests.core.storage.ledger_kit import USD, member

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"^# ([A-Z][A-Z0-9_]+)=(.*)$")
NOT_SETTINGS = {"platforms", "warnings"}
WEB_HOST_ALONE = "WEB_HOST must be a host's name or address alone, such as 127.0.0.1; its port is WEB_PORT."
PLATFORMS = ", ".join(platform_names())


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [*Settings.model_fields, *(n for kind in _adapter_settings() for n in kind.model_fields)]:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def _adapter_settings() -> list[type[BaseModel]]:
    return [importlib.import_module(f"adapters.{name}").Settings for name in platform_names()]


def _load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load()


def _problems(monkeypatch: pytest.MonkeyPatch, **variables: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        _load(monkeypatch, **variables)
    return caught.value.problems


@pytest.mark.parametrize("role", ["chat", "worker"])
def test_processes_of_different_roles_need_a_database_that_they_share(
    monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    assert any("PostgreSQL" in problem for problem in _problems(monkeypatch, ROLE=role))
    assert _load(monkeypatch, DATABASE_URL="postgresql://bot@db/bot", ROLE=role.upper()).role == role


def _as_written(default: Any) -> str:
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(int(default))
    return ",".join(default) if isinstance(default, tuple) else str(default)


def _documented() -> Mapping[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return {match[1]: match[2] for line in lines if (match := LINE.match(line))}


def _known() -> dict[str, Any]:
    kinds: list[type[BaseModel]] = [*_adapter_settings(), Settings]
    return {
        name.upper(): info.default
        for kind in kinds
        for name, info in kind.model_fields.items()
        if name not in NOT_SETTINGS
    }


@pytest.mark.parametrize(
    ("listed", "prices"),
    [("", {"flux": 10**8, "seedvr2": 10**6}), ("local,flux", {"local": 0, "flux": 10**8})],
)
def test_this_machines_model_is_offered_beside_fals_where_it_is_listed_and_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, listed: str, prices: dict[str, int]
) -> None:
    offered = _load(monkeypatch, FAL_KEY="id:secret", MODELS=listed).offered
    assert {model.id: model.unit_price_nanousd for model in offered} == prices
    assert next(model for model in offered.known if model.id == "local").unit_price_nanousd == 0


def test_nothing_needs_to_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _load(monkeypatch)
    assert (settings.backend, settings.offered.ids) == ("sandbox", ("local", "flux", "seedvr2"))
    assert settings.data_dir == Path("data").absolute()
    assert settings.database == f"sqlite:///{settings.data_dir}/bot.db"
    assert [p.name for p in settings.platforms if p.settings.enabled] == ["web"]
    limits = RuleSet(ledger_settings(settings).rules).limits_for(member())
    assert [(limit.scope.kind.value, limit.measure.value, limit.amount) for limit in limits] == [
        ("user", "usd", 5 * USD),
        ("user", "running", 3),
        ("workspace", "usd", 25 * USD),
        ("everything", "usd", 100 * USD),
    ]


def test_every_setting_is_documented_with_its_default() -> None:
    documented = _documented()
    known = _known()
    assert sorted(documented) == sorted(known)
    assert {name: value for name, value in documented.items() if value != _as_written(known[name])} == {}


def test_every_setting_is_explained_right_above_its_line() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        if match := LINE.match(line):
            assert above.startswith("# "), match[1]
            assert not LINE.match(above), match[1]
            assert not above.startswith("# ──"), match[1]


def test_the_example_with_every_line_uncommented_is_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = (ROOT / ".env.example").read_text()
    (tmp_path / ".env").write_text(re.sub(r"(?m)^# ([A-Z][A-Z0-9_]+=)", r"\1", text))
    settings = _load(monkeypatch, LIMIT_USER_DAY_USD="5")
    assert settings.backend == "sandbox"
    assert settings.warnings == ()


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WEB_PORT=1234\nRETENTION_DAYS=3\nAWS_DEFAULT_REGION=eu\nWEB_PROT=1\n")
    settings = _load(monkeypatch, WEB_PORT="4321")
    assert (settings.web_port, settings.retention_days) == (4321, 3)
    assert settings.warnings == (
        "AWS_DEFAULT_REGION is not a setting and is ignored; did you mean AWS_REGION?",
        "WEB_PROT is not a setting and is ignored; did you mean WEB_PORT?",
    )


def test_an_empty_value_is_unset_but_for_limits_it_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _load(monkeypatch, WEB_PORT="", FAL_KEY=" ", LIMIT_USER_DAY_USD="", LIMIT_USER_RUNNING="none")
    assert settings.web_port == 8080
    assert settings.fal_key is None
    limits = RuleSet(ledger_settings(settings).rules).limits_for(member())
    assert [limit.scope.kind.value for limit in limits] == ["workspace", "everything"]


def test_a_key_switches_to_the_real_model(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _load(monkeypatch, FAL_KEY="id:secret", UPSCALE_PRICE_PER_MP_USD="0.125", CONFIRM_ABOVE_USD="2.5")
    assert settings.backend == "fal"
    assert secret(settings.fal_key) == "id:secret"
    assert settings.unit_price_nanousd == 125_000_000
    assert settings.confirm_above_nanousd == 2_500_000_000


def test_the_sandbox_can_be_forced_beside_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _load(monkeypatch, FAL_KEY="id:secret", UPSCALE_BACKEND="Sandbox").backend == "sandbox"


def test_lists_switches_and_addresses_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _load(
        monkeypatch,
        TRUSTED_FILE_HOSTS="A.example, https://b.example:8443/,",
        ALLOW_UNSAFE="yes",
        PUBLIC_URL="https://x.example/",
        WEB_TOKEN="a token of many words",
    )
    assert settings.trusted_file_hosts == ("a.example", "b.example:8443")
    assert Settings(trusted_file_hosts=("a.example",)).trusted_file_hosts == ("a.example",)
    assert settings.allow_unsafe
    assert settings.public_url == "https://x.example"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("WEB_PORT", "http", "WEB_PORT must be a whole number, not “http”."),
        ("WEB_PORT", "70000", "WEB_PORT must be at most 65535, not “70000”."),
        ("RETENTION_DAYS", "0", "RETENTION_DAYS must be at least 1, not “0”."),
        ("CONFIRM_ABOVE_USD", "lots", "CONFIRM_ABOVE_USD must be a number, such as 5 or 0.25, not “lots”."),
        ("CONFIRM_ABOVE_USD", "NaN", "CONFIRM_ABOVE_USD must be a number, not “NaN”."),
        ("LIMIT_USER_DAY_USD", "-1", "LIMIT_USER_DAY_USD must be at least 0, not “-1”."),
        ("ALLOW_UNSAFE", "maybe", "ALLOW_UNSAFE must be 1 or 0, not “maybe”."),
        ("LOG_LEVEL", "loud", "LOG_LEVEL must be debug, info, warning or error, not “loud”."),
        ("UPSCALE_BACKEND", "dalle", "UPSCALE_BACKEND must be fal, local or sandbox, not “dalle”."),
        ("UPSCALE_BACKEND", "fal", "UPSCALE_BACKEND is fal, so FAL_KEY must be set."),
        ("QUOTA_TIMEZONE", "Mars/North", "QUOTA_TIMEZONE must be a time zone's name, such as UTC or Europe/Berlin."),
        ("PUBLIC_URL", "x.example", "PUBLIC_URL must be an address that starts with https:// (or http://)."),
        ("WEB_HOST", "http://0.0.0.0", WEB_HOST_ALONE),
        ("WEB_HOST", "0.0.0.0:8080", WEB_HOST_ALONE),
        ("LIMITS_FILE", "nowhere.toml", "LIMITS_FILE names a file that is not there."),
        ("DATA_DIR", "/var/lib/..", "DATA_DIR must be a folder of the bot's own, such as /var/lib/upscale-bot."),
        ("SECRET_KEY", "short", "SECRET_KEY must be at least 16 characters long."),
        (
            "ALLOWED_WORKSPACES",
            "slack:T1, teams:xyz",
            f"ALLOWED_WORKSPACES names a platform that is not there, “teams”; there is {PLATFORMS}.",
        ),
        (
            "ALLOWED_WORKSPACES",
            "discord:12:34",
            "ALLOWED_WORKSPACES must be ids such as discord:1234 or slack:T0123, not “discord:12:34”.",
        ),
        (
            "ALLOWED_USERS",
            "discord:",
            "ALLOWED_USERS must be ids such as discord:1234 or slack:T0123:U0123, not “discord:”.",
        ),
        *(
            (name, wrong, f"{name} must be ids such as discord:1234 or {slack}, not “{wrong}”.")
            for name, slack in (("ALLOWED_WORKSPACES", "slack:T0123"), ("ALLOWED_USERS", "slack:T0123:U0123"))
            for wrong in ("discord:abc", "discord:T1", "slack:t0123", "slack:1234", "abc")
        ),
        ("ALLOWED_USERS", "slack:U9", "ALLOWED_USERS needs the team too, as slack:T0123:U0123, not “slack:U9”."),
    ],
)
def test_a_mistake_is_one_plain_sentence(monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str) -> None:
    assert _problems(monkeypatch, **{name: value}) == (sentence,)


def test_all_mistakes_are_told_at_once_without_any_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = _problems(monkeypatch, WEB_PORT="x", SECRET_KEY="hunter2", WEB_HOST="0.0.0.0", SLACK_BOT_TOKEN="hunter3")
    assert len(problems) == 3
    assert "hunter" not in " ".join(problems)
    for problem in problems:
        assert problem.endswith(".")
        assert "Error" not in problem


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_the_brackets_of_an_address_are_no_part_of_it(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    found = _load(monkeypatch, WEB_HOST=host)
    page = next(platform.settings for platform in found.platforms if platform.name == "web")
    assert found.web_host == vars(page)["web_host"] == "::1"


@pytest.mark.parametrize("key", ["Key id:secret-9", '"id:secret-9', "id: secret-9"])
def test_a_key_with_something_around_it_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    with pytest.raises(SettingsError) as refused:
        _load(monkeypatch, FAL_KEY=key)
    assert refused.value.problems == ("FAL_KEY has a space or a quote in it; write the key alone, as id:secret.",)


@pytest.mark.parametrize("written", ["Discord:12", "slack:T1:U1", "12", "*"])
def test_people_and_places_are_named_by_their_ids(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    found = _load(monkeypatch, ALLOWED_USERS=f" {written} ,")
    assert found.allowed_users == (written.replace("Discord", "discord"),)


def test_slack_events_over_http_without_a_public_address_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "signing"}
    (warning,) = _load(monkeypatch, **needed).warnings
    assert "Set PUBLIC_URL, or SLACK_APP_TOKEN for Socket Mode." in warning
    assert _load(monkeypatch, PUBLIC_URL="https://x.example", WEB_TOKEN="a token of many words").warnings == ()


def test_settings_show_no_secret_when_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _load(monkeypatch, FAL_KEY="id:hunter2", DATABASE_URL="postgresql://u:hunter3@h/d")
    assert "hunter" not in repr(settings)
    assert settings.database == "postgresql://u:hunter3@h/d"


def test_only_the_settings_read_the_environment() -> None:
    reader = re.compile(r"\bos\.environ\b|\bgetenv\(|\bdotenv\b")
    allowed = {
        Path("bot/settings.py"),
        Path("bot/settings_problems.py"),  # names the lines of .env that cannot be read
        Path("bot/cli/setup.py"),  # tries answers out before it writes them
        Path("core/budgets/reports/chart.py"),  # passes named variables on to a child process
        Path("adapters/slack/connection/app.py"),  # hides ours from an SDK that would read them
    }
    for folder in ("core", "adapters", "bot"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.relative_to(ROOT) not in allowed:
                assert not reader.search(path.read_text()), path


def test_plain_http_to_a_service_is_warned_of_unless_it_is_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _load(
        monkeypatch,
        FAL_QUEUE_URL="http://proxy.example/queue",
        DISCORD_API_URL="http://10.0.0.5:8080/api",
        SLACK_API_URL="http://127.0.0.1:9/api/",
        FAL_CDN_URL="http://localhost:9",
    )
    assert [warning.split(" ")[0] for warning in found.warnings] == ["FAL_QUEUE_URL", "DISCORD_API_URL"]
    assert "plain http" in found.warnings[0]


def test_a_platform_that_is_not_used_costs_no_import() -> None:
    program = "import sys, bot.cli.session; from bot.settings import load; load(None); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    assert not {"discord", "slack_bolt", "slack_sdk", "matplotlib", "numpy"} & set(done.stdout.split())
