"""`python -m bot setup` with an operator's answers, against the emulators."""

import asyncio
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import parse_qs, urlsplit

import pytest

from adapters.slack import Settings as SlackSettings
from adapters.slack.setup.manifest import create_link
from bot.cli.setup import run_setup, write_env
from tests.bot.cli_kit import Commands
from tests.emulators.discord import DiscordEmulator
from tests.emulators.fal import API_KEY, FalEmulator
from tests.emulators.slack import SlackEmulator


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same_logs: None) -> Iterator[Path]:
    """An empty folder and an environment without our settings, restored afterwards."""
    before = dict(os.environ)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)


async def test_a_new_operator_is_led_through_every_key_and_a_wrong_one_is_asked_again(
    fal: FalEmulator, discord: DiscordEmulator, slack: SlackEmulator, clean: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.environ.update(
        FAL_QUEUE_URL=fal.queue_url, FAL_REST_URL=fal.rest_url, FAL_CDN_URL=fal.cdn_url, FAL_API_URL=fal.api_url,
        DISCORD_API_URL=discord.api_url, SLACK_API_URL=slack.api_url, DATA_DIR=str(clean / "data"),
    )  # fmt: skip
    answers = {
        "FAL_KEY": ["wrong:key", f"Key “{API_KEY}”"],
        "DISCORD_TOKEN": [f'"Bot {discord.token}" '],
        "SLACK_BOT_TOKEN": ["xapp-swapped", " Bearer xoxb-acme- bot-token"],
        "SLACK_APP_TOKEN": ["xoxb-swapped", slack.app_token],
        "ALLOWED_WORKSPACES": ["my server!", "discord:1234"],
    }
    (clean / ".env").write_text("# mine\nWEB_PORT=8081\nFAL_KEY=old:key\n")
    await asyncio.to_thread(run_setup, lambda prompt, credential: answers[credential.variable].pop(0), clean / ".env")
    told = capsys.readouterr().err
    assert "does not accept FAL_KEY" in told
    assert "SLACK_BOT_TOKEN" in told
    assert not any(answers.values())
    assert told.count("manifest_json=") == 1, "what to do is told once, also where a key is asked for again"
    written = (clean / ".env").read_text().splitlines()
    assert written[:3] == ["# mine", "WEB_PORT=8081", f"FAL_KEY={API_KEY}"]
    assert f"DISCORD_TOKEN={discord.token}" in written
    assert "SLACK_BOT_TOKEN=xoxb-acme-bot-token" in written
    assert "ALLOWED_WORKSPACES=discord:1234" in written
    assert stat.S_IMODE((clean / ".env").stat().st_mode) == 0o600
    assert API_KEY not in told


async def test_without_a_network_one_sentence_is_told_and_prompts_are_no_output(
    clean: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    os.environ.update(FAL_API_URL="http://127.0.0.1:9", LOG_FORMAT="json")
    monkeypatch.setattr("builtins.input", Mock(side_effect=["id:secret", *[""] * 9]))
    await asyncio.to_thread(run_setup, path=clean / ".env")
    printed = capsys.readouterr()
    assert all(words in printed.err for words in ("fal cannot be reached", "FAL_API_URL"))
    assert "fal_call_failed" not in printed.out + printed.err
    assert (printed.out, "FAL_KEY (the API key): " in printed.err) == ("", True)


async def test_a_key_that_the_environment_overrides_is_told_and_a_link_to_the_file_stays_one(
    fal: FalEmulator, clean: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.environ.update(FAL_API_URL=fal.api_url, FAL_KEY="of:yesterday")
    (clean / ".env").symlink_to("shared.env")
    keys = {"FAL_KEY": API_KEY}
    await asyncio.to_thread(run_setup, lambda prompt, credential: keys.get(credential.variable, ""), clean / ".env")
    assert "FAL_KEY is set in the environment too" in capsys.readouterr().err
    assert (clean / ".env").is_symlink()
    assert (clean / "shared.env").read_text() == f"FAL_KEY={API_KEY}\n"


async def test_skipping_everything_changes_nothing(clean: Path) -> None:
    await asyncio.to_thread(run_setup, lambda prompt, credential: "", clean / ".env")
    assert not (clean / ".env").exists()


async def test_the_end_of_input_at_a_hidden_question_skips_it(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Mock(isatty=lambda: True))
    monkeypatch.setattr("getpass.getpass", Mock(side_effect=EOFError))
    await asyncio.to_thread(run_setup, path=clean / ".env")
    assert not (clean / ".env").exists()


def test_ctrl_c_at_a_question_ends_as_cancelled(
    bot: Commands, folder: Path, clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", Mock(side_effect=KeyboardInterrupt))
    assert bot("setup").code == 4
    assert not (folder / ".env").exists()


def test_slacks_link_carries_a_whole_manifest() -> None:
    link = urlsplit(create_link(SlackSettings.model_validate({"slack_command": "/enlarge"})))
    manifest = json.loads(parse_qs(link.query)["manifest_json"][0])
    assert manifest["settings"]["socket_mode_enabled"] is True
    assert manifest["features"]["slash_commands"][0]["command"] == "/enlarge"


def test_a_value_with_odd_characters_is_read_back_as_it_was(clean: Path) -> None:
    from dotenv import dotenv_values

    odd = {"A": "with space # and 'quote' \\ $x", "B": "plain"}
    write_env(clean / ".env", odd)
    assert dotenv_values(clean / ".env", interpolate=False) == odd
