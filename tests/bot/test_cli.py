"""The command line, on the sandbox model and a fresh data folder; `run` as a process of its own."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from PIL import Image

from bot.cli.main import main

ROOT = Path(__file__).parents[2]
LIMIT_S = 90


@dataclass(frozen=True)
class Done:
    """What a finished command left behind."""

    returncode: int
    stdout: str
    stderr: str


Bot = Callable[..., Done]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Only what a process needs; none of our settings."""
    kept = {name: value for name in ("PATH", "HOME", "LANG", "TMPDIR") if (value := os.environ.get(name))}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "DATA_DIR": str(folder / "data"),
        "WEB_PORT": "0",
        **({} if "FAL_KEY" in more else {"UPSCALE_BACKEND": "sandbox"}),
        **more,
    }


@pytest.fixture
def bot(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    """Runs commands as `python -m bot` does, but in this process: starting Python anew takes longer than a command."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(*arguments: str, **more: str) -> Done:
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(os, "environ", environment(folder, **more))
            patch.setattr(sys, "argv", ["bot", *arguments])
            patch.setattr(sys, "stdin", io.StringIO())
            capsys.readouterr()
            with pytest.raises(SystemExit) as left:
                main()
        captured = capsys.readouterr()
        code = left.value.code
        return Done(code if isinstance(code, int) else 0, captured.out, captured.err)

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.effect_noise((64, 48), 60).convert("RGB").save(tmp_path / "cat.png")
    return tmp_path


def test_a_picture_is_enlarged_explained_and_counted(folder: Path, bot: Bot) -> None:
    first = bot("upscale", "cat.png", "3x", "seed=7", "--json")
    assert first.returncode == 0, first.stderr
    record = json.loads(first.stdout)
    with Image.open(folder / "cat.3x.png") as result:
        assert result.size == (192, 144) == (record["width"], record["height"])
    assert record["play_money"] is True
    again = bot("upscale", "cat.png", "3x", "seed=7")
    assert again.returncode == 2
    assert "--force" in again.stderr
    explained = bot("job", record["job_id"].upper())
    assert explained.returncode == 0
    for fact in ("done", "PNG, 64×48", "seed 7", "play money"):
        assert fact in explained.stdout
    table = bot("usage", "--csv")
    assert record["job_id"] in table.stdout
    assert record["job_id"] in bot("history").stdout
    saved = bot("job", record["job_id"], "--save", "copy.png")
    assert saved.returncode == 0, saved.stderr
    usual = stat.S_IMODE((folder / "cat.png").stat().st_mode)
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in ("cat.3x.png", "copy.png")} == {usual}
    assert (folder / "copy.png").read_bytes() == (folder / "cat.3x.png").read_bytes()
    assert bot("job", record["job_id"], "--save", "copy.png").returncode == 2
    assert bot("job", "000000000000", "--save", "other.png").returncode == 1


def test_every_picture_of_a_folder_is_enlarged_but_results(folder: Path, bot: Bot) -> None:
    for name in ("a.png", "b.jpg", "notes.txt", "old.2x.png"):
        (folder / "all" / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 48), (name == "a.png" and "red") or "blue").save(folder / "all" / name, "PNG")
    done = bot("upscale", "all", "2x", "seed=7", "-o", "large")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (folder / "large").iterdir()) == ["a.2x.png", "b.2x.png"]


def test_a_result_is_converted_to_the_kind_that_its_name_says(folder: Path, bot: Bot) -> None:
    for name, kind in (("cat.jpg", "JPEG"), ("cat.webp", "WEBP"), ("cat.tif", "PNG")):
        done = bot("upscale", "cat.png", "2x", "seed=7", "-o", name)
        assert done.returncode == 0, done.stderr
        with Image.open(folder / name) as result:
            assert (result.format, result.size) == (kind, (128, 96))
        assert ("cat.tif holds a PNG" in done.stderr) == (name == "cat.tif")


def test_the_operator_lists_lets_in_refuses_and_forgets_places(folder: Path, bot: Bot) -> None:
    keys = {"DISCORD_TOKEN": "a.b.c", "FAL_KEY": "a:b", "ALLOWED_USERS": "discord:42"}
    assert "Nobody has asked" in bot("allow", **keys).stdout
    assert "is let in" in bot("allow", "discord:123", **keys).stderr
    assert "discord:123" in bot("allow", **keys).stdout
    assert "admitted" in bot("allow", **keys).stdout
    assert "lets it in all the same" in bot("allow", "discord:@42", "--refuse", **keys).stderr
    assert "forgotten" in bot("allow", "discord:123", "--revoke", **keys).stderr
    assert "discord:123" not in bot("allow", **keys).stdout
    done = bot("allow", "nowhere", **keys)
    assert (done.returncode, "is no place" in done.stderr) == (2, True)


def test_an_extra_is_given_and_every_change_is_told(bot: Bot) -> None:
    place = ("--platform", "discord", "--workspace", "w1")
    assert "Nobody has changed" in bot("limits", "--history").stdout
    assert "$2.00 more until" in bot("quota", "add", "ann", "2", *place).stderr
    bot("quota", "set", "user", "3", "--id", "ann", *place)
    told = bot("limits", "--history").stdout
    assert "discord:w1" in told
    assert "more for member ann: – → $2.00" in told
    assert "member ann, today: – → $3.00" in told
    assert "Name the workspace" in bot("quota", "add", "ann", "2").stderr


def test_wrong_words_cost_nothing_and_are_all_named(folder: Path, bot: Bot) -> None:
    done = bot("upscale", "cat.png", "9x", "stpes=3", "--guidance=no")
    assert done.returncode == 2
    for word in ("9x", "stpes", "“steps”", "guidance"):
        assert word in done.stderr
    assert not list(folder.glob("cat.*x.*"))


def test_a_file_that_is_no_picture_fails_in_plain_words(folder: Path, bot: Bot) -> None:
    (folder / "note.png").write_text("<html>login</html>")
    done = bot("upscale", "note.png")
    assert done.returncode == 1
    assert "not an image" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dear_job_without_a_terminal_needs_yes(folder: Path, bot: Bot) -> None:
    done = bot("upscale", "cat.png", "2x", CONFIRM_ABOVE_USD="0.01")
    assert done.returncode == 4
    assert "--yes" in done.stderr
    assert bot("upscale", "cat.png", "2x", "--yes", CONFIRM_ABOVE_USD="0.01").returncode == 0


def test_a_pause_refuses_with_the_budgets_code(folder: Path, bot: Bot) -> None:
    assert bot("quota", "pause").returncode == 0
    refused = bot("upscale", "cat.png")
    assert refused.returncode == 3
    assert "paused" in refused.stderr
    assert bot("quota", "pause", "--off").returncode == 0


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"WEB_PORT": "http"}, "WEB_PORT must be a whole number, not “http”."),
        ({"SLACK_BOT_TOKEN": "xoxb-secret"}, "SLACK_APP_TOKEN"),
        ({"WEB_HOST": "0.0.0.0"}, "WEB_TOKEN"),
        ({"DATABASE_URL": "postgresql://u:secret@127.0.0.1:9/x"}, "DATABASE_URL"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_sentence(bot: Bot, more: Mapping[str, str], sentence: str) -> None:
    done = bot("run", **more)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_a_database_of_a_newer_version_is_left_alone(folder: Path, bot: Bot) -> None:
    assert bot("usage").returncode == 0
    with contextlib.closing(sqlite3.connect(folder / "data" / "bot.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    done = bot("usage")
    assert (done.returncode, "newer version" in done.stderr, "Traceback" in done.stderr) == (2, True, False)


def test_help_is_there_for_everything(folder: Path, bot: Bot) -> None:
    commands = (
        "run",
        "doctor",
        "invite",
        "slack-manifest",
        "upscale",
        "usage",
        "quota",
        "limits",
        "allow",
        "job",
        "reconcile",
        "purge",
    )
    text = bot("--help").stdout
    for command in commands:
        assert command in text


def test_the_manifest_is_pure_json_on_standard_output(folder: Path, bot: Bot) -> None:
    done = bot("slack-manifest")
    assert done.returncode == 0
    assert json.loads(done.stdout)["display_information"]["name"]


def test_doctor_looks_at_everything_and_is_content_with_the_sandbox(folder: Path, bot: Bot) -> None:
    done = bot("doctor")
    assert done.returncode == 0
    for area in ("Platforms: web", "secret.key", "can be written to", "SQLite", "sandbox model", "clock"):
        assert area in done.stdout
    findings = json.loads(bot("doctor", "--json").stdout)
    assert {one["level"] for one in findings} == {"ok", "warning"}


def test_the_version_is_told(bot: Bot) -> None:
    assert bot("--version").stdout.startswith("upscale-bot ")


def test_purge_asks_first_and_deletes_what_is_old(folder: Path, bot: Bot) -> None:
    assert bot("upscale", "cat.png").returncode == 0
    assert bot("purge", "--older-than-days", "0").returncode == 4
    done = bot("purge", "--older-than-days", "0", "--yes")
    assert "1 jobs" in done.stdout


def test_reconcile_finds_no_difference_in_play_money(folder: Path, bot: Bot) -> None:
    assert bot("upscale", "cat.png").returncode == 0
    done = bot("reconcile")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 differences" in done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(folder: Path, port: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", "run"],
        cwd=folder,
        env=environment(folder, WEB_PORT=str(port)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
                assert json.load(answer)["status"] == "ok"
            # Alive comes a moment before ready: until then /readyz answers 503, which is an OSError here.
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10):
                return process
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise AssertionError(process.communicate()[0])


def test_run_serves_says_where_refuses_a_second_on_the_port_and_ends_at_sigterm(folder: Path, bot: Bot) -> None:
    port = free_port()
    process = started(folder, port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
            assert json.load(answer)["checks"]["database"] == "ok"
        second = bot("run", WEB_PORT=str(port))
        assert second.returncode == 2
        assert f"Port {port} on 127.0.0.1 is already in use" in second.stderr
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, output
    assert f"http://127.0.0.1:{port}" in output
    assert "Traceback" not in output
