"""The whole bot as a separate process on the sandbox model: what a member sees, also after a kill."""

import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.bot.process_kit import SANDBOX, Bot, until
from tests.emulators.fal import FalEmulator
from tests.emulators.slack import Message, SlackEmulator, text_of
from tests.emulators.slack.world import User
from tests.fakes.media import png


async def connected(slack: SlackEmulator) -> None:
    await until(lambda: slack.socket.connections)


@pytest.fixture
async def bot(slack: SlackEmulator, tmp_path: Path) -> AsyncIterator[Bot]:
    async with Bot(tmp_path / "data", slack.env() | SANDBOX) as made:
        await connected(slack)
        yield made


def results(messages: list[Message]) -> list[Message]:
    return [m for m in messages if m.bot and " is ready" in m.text]


async def test_a_kill_in_the_middle_of_a_job_leads_to_one_result_and_one_charge(bot: Bot, slack: SlackEmulator) -> None:
    await slack.member.dm("4x", [slack.member.file(png(500, 400), "big picture.png")])
    await until(lambda: [m for m in slack.member.dms() if "Upscaling" in text_of(m)])
    await until(lambda: "submitted" in bot.log)
    await bot.kill()
    await bot.start()
    await until(lambda: results(slack.member.dms()))
    await until(lambda: len([m for m in slack.member.dms() if m.bot]) == 1)
    assert bot.log.count('"submitted"') == 1
    await slack.member.command(text="usage")
    told = await until(lambda: [m for m in slack.member.messages() if m.ephemeral_for])
    assert "$0.40 · 1 image" in text_of(told[0])


async def test_a_polite_end_hands_over_and_the_log_holds_no_secret(bot: Bot, slack: SlackEmulator) -> None:
    await slack.member.mention("private caption words", [slack.member.file(png(60, 40))])
    await slack.member.mention("2x", [slack.member.file(png(300, 200), "holiday.png")])
    await until(lambda: "job_accepted" in bot.log)
    bot.signal(signal.SIGTERM)
    assert await bot.ended() == 0
    await bot.start()
    await until(lambda: results(slack.member.messages()))
    with contextlib.suppress(ValueError):
        bot.log.index("job_ended")
    for hidden in ("xoxb-acme", "files-pri", "private caption words", "/hooks/commands", "holiday", "ticket="):
        assert hidden not in bot.log, hidden


async def test_a_limit_of_a_user_group_is_for_each_of_its_members(slack: SlackEmulator, tmp_path: Path) -> None:
    slack.member.space().usergroups["S0DESIGN1"] = {"U0ANNA0001"}
    next(token for token in slack.world.tokens.values() if token.kind == "bot").scopes.add("usergroups:read")
    async with FalEmulator() as fal, Bot(tmp_path / "data", slack.env() | fal.env()):
        await connected(slack)
        await slack.member.command(text="quota set <!subteam^S0DESIGN1|@design> $0.05/day", user="ada")
        (answer,) = await until(lambda: [m for m in slack.member.messages(user="ada") if m.ephemeral_for])
        assert "Limit set." in text_of(answer)
        assert "'usergroup_id': 'S0DESIGN1'" in str(answer.blocks)
        await slack.member.mention("2x", [slack.member.file(png(64, 48), "a.png")])
        await until(lambda: "This needs $0.10, more than" in str([text_of(m) for m in slack.member.messages()]))
        assert fal.submits == []
        await slack.member.mention("2x", [slack.member.file(png(64, 48), "b.png", user="ben")], user="ben")
        await until(lambda: results(slack.member.messages()))


async def test_guests_of_another_organisation_in_a_shared_channel_spend_nothing(
    slack: SlackEmulator, tmp_path: Path
) -> None:
    users = slack.member.space().users
    users["U0GUEST"] = User("U0GUEST", "T0OTHER", "gus", is_admin=True, is_owner=True)
    slack.member.channel().members.add("U0GUEST")
    async with FalEmulator() as fal, Bot(tmp_path / "data", slack.env() | fal.env()):
        await connected(slack)
        await slack.member.mention("2x", [slack.member.file(png(64, 48), "a.png", user="gus")], user="gus")
        await until(lambda: "only for people of its own organisation" in told(slack))
        assert fal.submits == []
        await slack.member.mention("2x seed=7", [slack.member.file(png(64, 48), "b.png")])
        await until(lambda: results(slack.member.messages()))
        assert len(fal.submits) == 1


def told(slack: SlackEmulator) -> str:
    """All messages, also private ones."""
    return str([call.args for call in slack.requests if call.method in ("chat.postMessage", "chat.postEphemeral")])
