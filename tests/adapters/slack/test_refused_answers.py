"""Forms, private answers and the Home tab that Slack refuses: answered elsewhere, and not retried forever."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.slack.outbound.errors import REVOKED
from tests.adapters.slack.conftest import World
from tests.adapters.slack.test_error_codes import STAGES
from tests.emulators.slack import text_of
from tests.emulators.slack.wire import METHODS, known_errors


async def test_a_form_that_slack_delays_longer_than_a_press_lives_is_not_tried_again(wide: World) -> None:
    wide.slack.fault("views.open", error="ratelimited", status=429, retry_after_s=20)
    assert (await wide.slack.member.command(text="")).acked
    await wide.until(lambda: [m for m in wide.bot_messages() if "open the form" in text_of(m)], move=0.6)
    assert len(wide.slack.calls("views.open")) == 1


def shows(world: World, words: str) -> Callable[[], bool]:
    """Whether the member has a private message with these words."""
    return lambda: any(words in text_of(m) for m in world.told())


@pytest.mark.parametrize("method", ["chat.postEphemeral", "views.open", "views.update", "views.publish"])
async def test_what_cannot_be_shown_in_its_place_is_said_in_another(wide: World, method: str) -> None:
    """Cause an error in a channel, open a form and details, and save defaults on the Home tab."""
    world, member = wide, wide.slack.member
    await member.mention("", [world.picture()])
    result = await world.result()
    await member.open_home()
    home = await world.until(member.home)
    for number, code in enumerate(sorted(known_errors(method) - REVOKED - {"ratelimited", "not_found"}), start=2):
        world.slack.fault(method, error=code, times=99)
        if method == "chat.postEphemeral":
            await member.mention(f"factor={number * 100}", [world.picture()])
            words = f"you wrote {number * 100}"
        elif method == "views.open":
            assert (await member.command(text="")).acked, code
            words = "open the form"
        elif method == "views.update":
            await member.click(result, "job:details:")
            words = "The same image again"
        else:
            await member.click(home, "ui:defaults")
            await world.until(member.open_view)
            await member.submit_view({"text": f"steps={number + 3}"})
            words = f"steps {number + 3}"
        await world.until(shows(world, words), move=0.6)
        for message in [*world.bot_messages(), *member.dms()]:
            message.deleted = message.ts != result.ts
        world.slack.faults.clear()
    assert world.service.caught == []


def codes(method: str) -> list[str]:
    return sorted(known_errors(method) - REVOKED - {"ratelimited"})


async def test_a_file_that_slack_does_not_delete_keeps_no_message_from_going(wide: World) -> None:
    refused = codes("files.delete")
    for number in range(len(refused)):
        await wide.slack.member.mention("", [wide.picture(f"p{number}.png")])
    await wide.result(number=len(refused))
    results = wide.results()
    for code, message in zip(refused, results, strict=True):
        shown = next(block["slack_file"]["id"] for block in message.blocks if block["type"] == "image")
        wide.slack.fault("files.delete", error=code, times=99, match={"file": shown})
        await wide.slack.member.click(message, "job:delete:")
    await wide.until(lambda: all(message.deleted for message in results), move=0.5)


async def test_a_thread_that_slack_does_not_show_is_answered_all_the_same(wide: World) -> None:
    refused = codes("conversations.replies")
    for number, code in enumerate(refused):
        root = wide.slack.member.post("look", [wide.picture()])
        wide.slack.fault("conversations.replies", error=code, times=99, match={"ts": root.ts})
        await wide.slack.member.mention(f"{2 + number / 100}x", thread_ts=root.ts)
    told = lambda: [m for m in wide.bot_messages() if "no image" in text_of(m) or "can't see" in text_of(m)]  # noqa: E731
    await wide.until(lambda: len(told()) == len(refused), move=0.3)


async def test_files_that_slack_does_not_list_are_said_to_be_missing(wide: World) -> None:
    wide.slack.mention_mode = "bare"
    refused = codes("files.list")
    for number, code in enumerate(refused, start=1):
        wide.slack.faults.clear()
        wide.slack.fault("files.list", error=code, times=99)
        await wide.slack.member.mention("2x", [wide.picture()])
        told = lambda: [m for m in wide.bot_messages() if "no image" in text_of(m)]  # noqa: E731
        await wide.until(lambda: len(told()) == number, move=0.3)  # noqa: B023
    assert wide.service.rows == {}


def test_every_method_that_the_bot_calls_meets_its_refusals() -> None:
    source = "".join(path.read_text() for path in Path("adapters/slack").rglob("*.py"))
    called = set(re.findall(r'"((?:chat|files|views|users|conversations)\.[A-Za-z]+)"', source)) & set(
        METHODS["methods"]
    )
    here = {"views.open", "views.update", "views.publish", "files.delete", "files.list", "conversations.replies"}
    # A lost message is looked for in a channel as it is in a thread.
    assert called - {stage.method for stage in STAGES.values()} - here == {"conversations.history"}
