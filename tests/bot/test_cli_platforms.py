"""Commands and starts that use a platform or fal, emulated on loopback."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.bot.cli_kit import Commands
from tests.emulators.discord import DiscordEmulator
from tests.emulators.fal import ADMIN_KEY, API_KEY, FalEmulator
from tests.emulators.s3 import S3Emulator
from tests.emulators.slack import SlackEmulator


def at_fal(fal: FalEmulator, **more: str) -> dict[str, Any]:
    urls = {"FAL_QUEUE_URL": fal.queue_url, "FAL_REST_URL": fal.rest_url, "FAL_CDN_URL": fal.cdn_url}
    return {"FAL_KEY": API_KEY, "FAL_API_URL": fal.api_url, **urls, **more}


async def test_a_refused_discord_token_stops_the_start_with_one_sentence(
    bot: Commands, discord: DiscordEmulator
) -> None:
    done = await bot.process("run", DISCORD_API_URL=discord.api_url, DISCORD_TOKEN="not.the.token")
    assert done.code == 2, done.said
    assert done.err.splitlines()[-1].startswith("Discord refuses DISCORD_TOKEN")


async def test_a_refused_key_of_fal_stops_the_start_with_one_sentence(bot: Commands, fal: FalEmulator) -> None:
    done = await bot.process("run", **at_fal(fal, FAL_KEY="wrong:key"))
    assert done.code == 2, done.said
    assert "fal refuses FAL_KEY" in done.said
    assert "wrong:key" not in done.said


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            {"AWS_SECRET_ACCESS_KEY": "another"},
            "The object store of FILES_URL refuses the key. Look at AWS_ACCESS_KEY_ID",
        ),
        ({"FILES_URL": "s3://elsewhere/bot"}, "The object store knows no such bucket as FILES_URL names."),
    ],
)
async def test_a_refused_key_of_the_object_store_stops_the_start_with_one_sentence(
    bot: Commands, tmp_path: Path, wrong: dict[str, str], sentence: str
) -> None:
    async with S3Emulator(tmp_path / "s3") as s3:
        env: dict[str, Any] = {**s3.env(), **wrong}
        done = await bot.process("run", **env)
        assert (done.code, done.err.splitlines()[-1][: len(sentence)]) == (2, sentence), done.said
        assert sentence.split(". ")[0] in (await bot.beside("doctor", **env)).said
        assert "gives and deletes files" in (await bot.beside("doctor", **s3.env())).said


async def test_purge_says_what_the_object_store_kept_it_from(bot: Commands, tmp_path: Path) -> None:
    async with S3Emulator(tmp_path / "s3") as s3:
        env: dict[str, Any] = s3.env()
        assert (await bot.process("upscale", "cat.png", **env)).code == 0
        purge = ("purge", "--older-than-days", "0", "--yes")
        s3.away = True
        done = await bot.beside(*purge, **env)
        assert done.code == 1
        assert done.err == "The object store does not answer. Deleted the images of 0 jobs until then.\n"
        s3.away = False
        assert (await bot.beside(*purge, **env)).out == "Deleted the images of 1 job.\n"
        assert s3.keys == []


async def test_a_refused_slack_token_stops_the_start_with_one_sentence(bot: Commands, slack: SlackEmulator) -> None:
    wrong: dict[str, Any] = {"SLACK_BOT_TOKEN": "xoxb-not-the-token", "SLACK_APP_TOKEN": slack.app_token}
    done = await bot.process("run", SLACK_API_URL=slack.api_url, **wrong)
    assert done.code == 2, done.said
    assert done.err.splitlines()[-1].startswith("Slack refuses SLACK_BOT_TOKEN")


async def test_invite_prints_both_links_with_what_they_ask_for(bot: Commands, discord: DiscordEmulator) -> None:
    done = await bot.beside("invite", DISCORD_API_URL=discord.api_url, DISCORD_TOKEN=discord.token)
    assert done.code == 0, done.said
    links = [line for line in done.out.splitlines() if line.startswith("https://")]
    assert len(links) == 2
    assert "integration_type=1" in links[1]
    assert "Attach Files" in done.said


async def test_invite_without_a_token_says_what_is_missing(bot: Commands) -> None:
    done = await bot.beside("invite")
    assert (done.code, done.said.strip()) == (2, "No platform with invite links is set up; set DISCORD_TOKEN first.")


async def test_doctor_examines_fal_discord_and_slack(
    bot: Commands, fal: FalEmulator, discord: DiscordEmulator, slack: SlackEmulator
) -> None:
    done = await bot.beside(
        "doctor",
        **at_fal(fal, FAL_ADMIN_KEY=ADMIN_KEY),
        DISCORD_API_URL=discord.api_url,
        DISCORD_TOKEN=discord.token,
        SLACK_API_URL=slack.api_url,
        SLACK_BOT_TOKEN="xoxb-acme-bot-token",
        SLACK_APP_TOKEN=slack.app_token,
    )
    assert done.code == 0, done.said
    for fact in ("fal accepts the key", "costs $0.10", "credit is $50.00", "clock is right", "Discord:", "Slack"):
        assert fact in done.said
    assert "✘" not in done.said


def test_doctor_calls_it_a_problem_where_nothing_new_is_taken_for_want_of_space(bot: Commands) -> None:
    done = bot("doctor", DISK_FREE_BYTES="1" + 18 * "0")
    assert (done.code, "nothing new is taken" in done.out) == (1, True)


async def test_doctor_names_the_fix_for_each_wrong_key(
    bot: Commands, fal: FalEmulator, discord: DiscordEmulator
) -> None:
    wrong = at_fal(fal, FAL_KEY="wrong:key", DISCORD_API_URL=discord.api_url, DISCORD_TOKEN="not.the.token")
    done = await bot.beside("doctor", **wrong)
    assert done.code == 1, done.said
    assert "fal does not accept FAL_KEY" in done.said
    assert "https://fal.ai/dashboard/keys" in done.said
    assert "Discord refuses DISCORD_TOKEN" in done.said
    assert "wrong:key" not in done.said


async def test_doctor_sees_that_the_credit_is_gone(bot: Commands, fal: FalEmulator) -> None:
    fal.credit_exhausted = True
    done = await bot.beside("doctor", **at_fal(fal, FAL_ADMIN_KEY=ADMIN_KEY))
    assert done.code == 1
    assert "out of credit" in done.said


async def test_doctor_sees_an_admin_key_that_is_none(bot: Commands, fal: FalEmulator) -> None:
    done = await bot.beside("doctor", **at_fal(fal, FAL_ADMIN_KEY="wrong:key"))
    assert "fal names none for this FAL_ADMIN_KEY; set it to a key with ADMIN scope" in " ".join(done.said.split())


async def test_reconcile_lists_what_fal_billed_otherwise_and_corrects_it(bot: Commands, fal: FalEmulator) -> None:
    at = at_fal(fal, FAL_ADMIN_KEY=ADMIN_KEY)
    fal.job_s = 0.2
    made = await bot.process("upscale", "cat.png", **at)
    assert made.code == 0, made.said
    assert (await bot.beside("reconcile", **at)).code == 0
    for job in fal.jobs.values():
        job.units = "3"
    listed = await bot.beside("reconcile", **at)
    assert listed.code == 1, listed.said
    assert "other amount" in listed.said
    assert "$0.30" in listed.said
    assert next(iter(fal.jobs)) in listed.said, "a request id is whole where no terminal cuts it"
    mended = await bot.beside("reconcile", "--fix", **at)
    assert "1 of 1 differences corrected" in mended.said
    assert (await bot.beside("reconcile", **at)).code == 0
    fal.jobs["elsewhere"] = dataclasses.replace(job, request_id="elsewhere")
    mended = await bot.beside("reconcile", "--fix", **at)
    assert (mended.code, "billed, no job known" in mended.said) == (1, True)
    assert "1 difference cannot be corrected: that takes a job that is known here" in " ".join(mended.said.split())
    unlisted = await bot.beside("reconcile", **at | {"FAL_ADMIN_KEY": "no:admin"})
    assert (unlisted.code, "fal did not list what it billed" in unlisted.said) == (1, True), unlisted.said


async def test_reconcile_without_the_admin_key_says_what_is_missing(bot: Commands, fal: FalEmulator) -> None:
    done = await bot.beside("reconcile", **at_fal(fal))
    assert done.code == 2
    assert "FAL_ADMIN_KEY" in done.said


def test_the_limits_of_a_thread_include_those_of_its_channel(bot: Commands) -> None:
    here, real = ("--platform", "discord", "--workspace", "w1"), {"FAL_KEY": "k:s", "ALLOWED_WORKSPACES": "*"}
    assert bot("quota", "set", "channel", "2", *here, "--id", "c1", **real).code == 0
    shown = [
        bot("quota", "show", *here, *where, **real).said
        for where in (("--channel", "t1"), ("--channel", "c1", "--thread", "t1"))
    ]
    assert ["channel discord c1" in one for one in shown] == [False, True], shown
