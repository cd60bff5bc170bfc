"""The command line, on the sandbox model and a fresh data folder; `run` as a process of its own."""

import contextlib
import errno
import json
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest
from PIL import Image

from tests.bot.cli_kit import Commands, environment
from tests.bot.process_kit import Bot

KEYED = {"SECRET_KEY": "long enough for a test"}


def test_a_picture_is_enlarged_explained_and_counted(folder: Path, bot: Commands) -> None:
    first = bot("upscale", "cat.png", "3x", "seed=7", "--json")
    assert first.code == 0, first.err
    record = json.loads(first.out)
    with Image.open(folder / "cat.3x.png") as result:
        assert result.size == (192, 144) == (record["width"], record["height"])
    assert record["play_money"] is True
    again = bot("upscale", "cat.png", "3x", "seed=7")
    assert again.code == 2
    assert "--force" in again.err
    explained = bot("job", record["job_id"].upper())
    assert explained.code == 0
    for fact in ("done", "PNG, 64×48", "seed 7", "play money"):
        assert fact in explained.out
    table = bot("usage", "--csv")
    assert record["job_id"] in table.out
    assert record["job_id"] in bot("history").out
    for copy in ("copy.png", "new/folder/copy.png"):
        saved = bot("job", record["job_id"], "--save", copy)
        assert saved.code == 0, saved.err
    made = ("cat.png", "cat.3x.png", "copy.png", "new", "new/folder")
    assert len({stat.S_IMODE((folder / name).stat().st_mode) & 0o666 for name in made}) == 1, "the usual permissions"
    assert (folder / "copy.png").read_bytes() == (folder / "cat.3x.png").read_bytes()
    assert bot("job", record["job_id"], "--save", "copy.png").code == 2


def test_a_result_that_cannot_be_written_is_kept_for_the_same_command(
    folder: Path, bot: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, dest: Path) -> Path:
        copied = Path(copyfile(source, dest))
        if dest.name == ".cat.2x.png.part":
            raise OSError(errno.ENOSPC, "No space left on device", str(source))
        return copied

    copyfile = shutil.copyfile
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        refused = bot("upscale", "cat.png", "2x", "seed=9")
    assert (refused.code, "cat.2x.png cannot be written: No space" in refused.err) == (1, True), refused.said
    assert sorted(path.name for path in folder.glob("*cat*")) == ["cat.png"]
    fetched = bot("upscale", "cat.png", "2x", "seed=9", "-o", "elsewhere.png", "--json")
    assert (fetched.code, (folder / "elsewhere.png").is_file()) == (0, True), fetched.said
    assert bot("usage", "--csv").out.count("flux") == 1


def test_every_picture_of_a_folder_is_enlarged_but_results(folder: Path, bot: Commands) -> None:
    for name in ("a.png", "b.jpg", "notes.txt", "old.2x.png"):
        (folder / "all" / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 48), (name == "a.png" and "red") or "blue").save(folder / "all" / name, "PNG")
    done = bot("upscale", "all", "2x", "seed=7", "-o", "large")
    assert done.code == 0, done.err
    assert sorted(path.name for path in (folder / "large").iterdir()) == ["a.2x.png", "b.2x.png"]


async def test_a_picture_goes_through_a_pipe(folder: Path, bot: Commands) -> None:
    whole = (folder / "cat.png").read_bytes()
    to_file = await bot.process("upscale", "-", "2x", "seed=7", "-o", "large.png", given=whole)
    assert to_file.code == 0, to_file.said
    piped = await bot.process("upscale", "-", "2x", "seed=7", "-o", "-", given=whole)
    assert (piped.code, "reference" in piped.err) == (0, True), piped.said
    assert piped.raw == (folder / "large.png").read_bytes()
    assert {path.name for path in folder.iterdir()} >= {"cat.png", "large.png"}
    assert not (folder / "-").exists()
    assert "stdin" in (await bot.beside("history")).out


@pytest.mark.parametrize(("words", "says"), [("-", "with -o"), ("cat.png - -o -", "Only one image")])
def test_a_pipe_to_nowhere_or_beside_a_picture_is_refused(bot: Commands, words: str, says: str) -> None:
    refused = bot("upscale", *words.split())
    assert (refused.code, says in refused.err) == (2, True), refused.said


def test_a_result_is_converted_to_the_kind_that_its_name_says(folder: Path, bot: Commands) -> None:
    for name, kind in (("cat.jpg", "JPEG"), ("cat.webp", "WEBP"), ("cat.tif", "PNG")):
        done = bot("upscale", "cat.png", "2x", "seed=7", "-o", name, "--json")
        assert done.code == 0, done.err
        with Image.open(folder / name) as result:
            assert (result.format, result.size) == (kind, (128, 96))
        told = json.loads(done.out)
        assert (told["content_type"], told["file_size"]) == (f"image/{kind.lower()}", (folder / name).stat().st_size)
        assert ("cat.tif holds a PNG" in done.err) == (name == "cat.tif")


def test_a_name_that_ends_with_a_slash_is_a_folder(folder: Path, bot: Commands) -> None:
    done = bot("upscale", "cat.png", "2x", "-o", "large/")
    assert done.code == 0, done.err
    reference = done.out.split()[-1]
    assert bot("job", reference, "--save", "kept/").code == 0
    assert [path.name for path in (folder / "large").iterdir()] == ["cat.2x.png"]
    assert len(list((folder / "kept").iterdir())) == 1


def test_the_operator_lists_lets_in_refuses_and_forgets_places(bot: Commands) -> None:
    keys = {"DISCORD_TOKEN": "a.b.c", "FAL_KEY": "a:b", "ALLOWED_USERS": "discord:42"}
    assert "Nobody has asked" in bot("allow", **keys).out
    assert "is let in" in bot("allow", "discord:123", **keys).err
    assert "discord:123" in bot("allow", **keys).out
    assert "admitted" in bot("allow", **keys).out
    assert "lets it in all the same" in bot("allow", "discord:@42", "--refuse", **keys).err
    assert "forgotten" in bot("allow", "discord:123", "--revoke", **keys).err
    assert "discord:123" not in bot("allow", **keys).out


def test_an_extra_is_given_and_every_change_is_told(bot: Commands) -> None:
    place = ("--platform", "discord", "--workspace", "w1")
    assert "Nobody has changed" in bot("limits", "--history").out
    assert "$2.00 more until" in bot("quota", "add", "ann", "2", *place).err
    bot("quota", "set", "user", "$3", "month", "--id", "ann", *place)
    told = bot("limits", "--history").out
    assert "discord:w1" in told
    assert "more for member ann: – → $2.00" in told
    assert "member ann · this month: – → $3.00" in told


def test_wrong_words_cost_nothing_and_are_all_named(folder: Path, bot: Commands) -> None:
    done = bot("upscale", "cat.png", "9x", "stpes=3", "--guidance=no")
    assert done.code == 2
    for word in ("9x", "stpes", "“steps”", "guidance"):
        assert word in done.err
    assert not list(folder.glob("cat.*x.*"))


def test_a_file_that_is_no_picture_fails_in_plain_words(folder: Path, bot: Commands) -> None:
    (folder / "note.png").write_text("<html>login</html>")
    done = bot("upscale", "note.png")
    assert (done.code, "not an image" in done.err) == (1, True)


def test_a_dear_job_without_a_terminal_needs_yes(bot: Commands) -> None:
    done = bot("upscale", "cat.png", "2x", CONFIRM_ABOVE_USD="0.01")
    assert done.code == 4
    assert "--yes" in done.err
    assert bot("upscale", "cat.png", "2x", "--yes", CONFIRM_ABOVE_USD="0.01").code == 0


def test_a_pause_refuses_with_the_budgets_code(bot: Commands) -> None:
    paused = bot("quota", "pause")
    assert (paused.code, "`quota resume` ends it" in paused.err) == (0, True)
    assert all("New jobs are paused." in bot(*words).err for words in (["limits"], ["quota", "show"]))
    refused = bot("upscale", "cat.png")
    assert refused.code == 3
    assert "paused" in refused.err
    assert bot("quota", "resume").code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("job", "nothing"), "Nothing is known of nothing."),
        (("job", "000000000000", "--save", "other.png"), "Nothing is known of 000000000000."),
        (("usage", "fortnight"), "you wrote fortnight.\n"),
        (("usage", "--chart", "/nowhere/chart.png"), "/nowhere/chart.png cannot be"),
        (("quota", "set", "user", "five", "--platform", "discord", "--workspace", "w1"), "five is not an amount"),
        (("quota", "add", "ann", "2"), "Name the workspace"),
        (("quota", "pause", "--platform", "discord"), "Name both --platform and --workspace, or neither"),
        (("limits", "--platform", "teams"), "teams is no platform; there is cli, discord, slack, web."),
        (("quota", "set", "everything", "9", "--platform", "slack", "--workspace", "T1"), "Limits of the whole bot"),
        (("allow", "nowhere"), "nowhere is no place"),
        (("allow", "discord:1"), "discord is not set up here. Platforms that are set up: none."),
        (("backup", "/nowhere/file"), "/nowhere/file"),
        (("restore", "cat.png"), "cat.png"),
        (("upscale", "bird.png"), "bird.png is not there."),
        (("upscale", "cat.png", "-o", "/proc/nowhere/cat.png"), "/proc/nowhere"),
        (("purge", "--older-than-days", "-1"), "older-than-days"),
    ],
)
def test_an_operators_mistake_is_one_sentence_and_exit_code_2(
    bot: Commands, words: tuple[str, ...], sentence: str
) -> None:
    done = bot(*words)
    assert (done.code, sentence in done.err) == (2, True), done


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"WEB_PORT": "http"}, "WEB_PORT must be a whole number, not “http”."),
        ({"SLACK_BOT_TOKEN": "xoxb-secret"}, "SLACK_APP_TOKEN"),
        ({"WEB_HOST": "0.0.0.0"}, "WEB_TOKEN"),
        ({"DATA_DIR": "cat.png/data"}, "DATA_DIR="),
        ({"DATABASE_URL": "postgresql://u:secret@127.0.0.1:9/x"}, "set SECRET_KEY"),
        ({**KEYED, "DATABASE_URL": "postgresql://u:secret@127.0.0.1:9/x?sslmode=often"}, "sslmode in DATABASE_URL"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_sentence(
    bot: Commands, more: Mapping[str, str], sentence: str
) -> None:
    done = bot("run", **more)
    assert (done.code, sentence in done.err, "secret" in done.err) == (2, True, False)


def test_a_database_that_is_away_ends_with_another_code_so_that_the_unit_starts_again(bot: Commands) -> None:
    done = bot("run", **KEYED, DATABASE_URL="postgresql://u:secret@127.0.0.1:9/x")
    assert (done.code, "Nothing answers" in done.err, "secret" in done.err) == (1, True, False)


def test_a_database_of_a_newer_version_is_left_alone(folder: Path, bot: Commands) -> None:
    assert bot("usage").code == 0
    with contextlib.closing(sqlite3.connect(folder / "data" / "bot.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    done = bot("usage")
    assert (done.code, "newer version" in done.err) == (2, True)


def test_help_is_there_for_everything(bot: Commands) -> None:
    commands = "run doctor setup invite slack-manifest upscale usage quota limits allow job history reconcile purge"
    text = bot("--help").out
    assert [name for name in (*commands.split(), "backup", "restore") if name not in text] == []


def test_the_manifest_is_pure_json_on_standard_output(bot: Commands) -> None:
    done = bot("slack-manifest")
    assert done.code == 0
    assert json.loads(done.out)["display_information"]["name"]


def test_doctor_looks_at_everything_and_is_content_with_the_sandbox(bot: Commands) -> None:
    done = bot("doctor")
    assert done.code == 0
    for area in ("Platforms: web", "secret.key", "can be written to", "SQLite", "sandbox model", "clock"):
        assert area in done.out
    findings = json.loads(bot("doctor", "--json").out)
    assert {one["level"] for one in findings} == {"ok", "warning"}


def test_a_program_reads_from_doctor_why_nothing_could_be_looked_at(bot: Commands) -> None:
    stopped = bot("doctor", "--json", WEB_PORT="x")
    (finding,) = json.loads(stopped.out)
    assert (stopped.code, finding["level"], "WEB_PORT" in finding["what"]) == (2, "problem", True)
    assert "WEB_PORT" in stopped.err


def test_output_to_a_full_disk_ends_in_one_sentence(folder: Path) -> None:
    command = [sys.executable, "-m", "bot", "usage"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, cwd=folder, env=environment(folder), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (2, "The output cannot be used: No space left on device.\n")


def test_the_version_is_told(bot: Commands) -> None:
    assert bot("--version").out.startswith("upscale-bot ")


def test_purge_asks_first_and_deletes_what_is_old(bot: Commands) -> None:
    assert bot("upscale", "cat.png").code == 0
    assert bot("purge", "--older-than-days", "0").code == 4
    done = bot("purge", "--older-than-days", "0", "--yes")
    assert "the images of 1 job." in done.out


def test_reconcile_finds_no_difference_in_play_money(bot: Commands) -> None:
    assert bot("upscale", "cat.png").code == 0
    done = bot("reconcile")
    assert done.code == 0, done.out + done.err
    assert "0 differences" in done.out


async def test_run_serves_says_where_refuses_a_second_on_the_port_and_ends_at_sigterm(
    folder: Path, bot: Commands
) -> None:
    async with Bot(folder / "data", {"UPSCALE_BACKEND": "sandbox", "SECRET_KEY": ""}) as running:
        where = f"http://127.0.0.1:{running.port}"
        async with aiohttp.ClientSession() as web, web.get(f"{where}/healthz") as answer:
            assert (await answer.json())["status"] == "ok"
        second = await bot.process("run", WEB_PORT=str(running.port))
        assert second.code == 2
        assert f"Port {running.port} on 127.0.0.1 is already in use" in second.said
        running.signal(signal.SIGHUP)  # as SIGTERM: the terminal was closed
        assert await running.ended() == 0
    told = "\n".join(running.noise)
    assert where in told
    assert "Traceback" not in told
