"""A database that hangs: the member sees an error within Discord's three seconds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.discord.inbound import interaction_response
from core.domain.errors import DeliveryRefused
from tests.adapters.discord.fake_service import png
from tests.adapters.discord.kit import Bot
from tests.emulators.discord import Fault, Invocation, SeenMessage, Upload
from tests.emulators.discord.world import MANAGE_GUILD, MEMBER_PERMISSIONS

PICTURE = Upload("a.png", png())
HANGS = (
    *("request", "repeat", "confirm", "cancel", "job", "delete", "redeliver", "history", "usage", "applying"),
    *("defaults", "set_defaults", "workspace_limits", "pause", "set_alert_channel", "set_limit", "queue", "estimate"),
    "export",
)
Act = Callable[[Bot, SeenMessage], Awaitable[Invocation]]


def _invoke(name: str, **options: Any) -> Act:
    return lambda bot, _: bot.discord.invoke(name, options)


def _click(label: str) -> Act:
    return lambda bot, shown: bot.discord.click(shown, label)


def _menu(bot: Bot, _: SeenMessage) -> Awaitable[Invocation]:
    return bot.discord.message_menu("Upscale", bot.discord.post("", (PICTURE,)))


def _menu_of_two(bot: Bot, _: SeenMessage) -> Awaitable[Invocation]:
    return bot.discord.message_menu("Upscale", bot.discord.post("", (PICTURE, Upload("b.png", png(90, 70)))))


ACTS: dict[str, Act] = {
    "upscale": _invoke("/upscale", image=PICTURE),
    "menu": _menu,
    "menu of two": _menu_of_two,
    "usage": _invoke("/usage"),
    "history": _invoke("/history"),
    "settings show": _invoke("/settings show"),
    "settings set": _invoke("/settings set", factor=3.0),
    "privacy export": _invoke("/privacy export"),
    "quota show": _invoke("/quota show"),
    "quota pause": _invoke("/quota pause", paused=True),
    "queue": _invoke("/queue"),
    "again": _click("Again"),
    "compare": _click("Compare"),
    "details": _click("Details"),
    "delete": _click("Delete"),
}


async def _hang(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())
async def test_everybody_is_answered_in_time_and_nothing_is_started(
    bot: Bot, monkeypatch: pytest.MonkeyPatch, act: Act
) -> None:
    bot.discord.guild.permissions[bot.discord.user.id] = MEMBER_PERMISSIONS | MANAGE_GUILD
    shown = await bot.ask("/upscale", {"image": PICTURE}, test=lambda m: m.images)
    monkeypatch.setattr(interaction_response, "COMMIT_TIMEOUT_S", 0.05)
    for name in HANGS:
        monkeypatch.setattr(bot.core, name, _hang)
    jobs = len(bot.core.jobs)
    asked = await act(bot, shown)
    answer = await asked.answer(lambda m: "right now" in m.text)
    assert answer.ephemeral
    await asked.acknowledged()
    assert len(bot.core.jobs) == jobs


async def test_a_mention_is_answered_too(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interaction_response, "COMMIT_TIMEOUT_S", 0.05)
    for name in HANGS:
        monkeypatch.setattr(bot.core, name, _hang)
    await bot.discord.write(f"<@{bot.discord.world.bot.id}>", (PICTURE,))
    await bot.discord.until(lambda: [m for m in bot.discord.messages() if "right now" in m.text])


async def test_a_slow_database_that_writes_is_waited_for(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interaction_response, "COMMIT_TIMEOUT_S", 0.05)
    go, request = asyncio.Event(), bot.core.request

    async def slow(*given: Any, **more: Any) -> Any:
        if not bot.core.requests:
            return await request(*given, **more)
        await go.wait()
        return await request(*given, **more)

    monkeypatch.setattr(bot.core, "request", slow)
    bot.core.script = None
    first = await bot.discord.invoke("/upscale", {"image": PICTURE})
    second = await bot.discord.invoke("/upscale", {"image": PICTURE})
    await first.acknowledged()
    await second.acknowledged()
    go.set()
    await bot.discord.until(lambda: len(bot.core.begun) == 2)


PRESSES = {name: ACTS[name] for name in ("again", "compare", "details", "delete", "history", "settings set")}


@pytest.mark.parametrize("act", PRESSES.values(), ids=PRESSES.keys())
async def test_words_come_where_the_acknowledgement_arrived_but_its_answer_never_did(bot: Bot, act: Act) -> None:
    shown = await bot.ask("/upscale", {"image": PICTURE}, test=lambda m: m.images)
    bot.discord.faults += [Fault("/callback", "reset_after"), Fault("/callback", "reset", 99)]
    asked = await act(bot, shown)

    def said() -> list[SeenMessage]:
        return [m for m in (*asked.followups, asked.message) if m and not m.loading and m.text not in ("", shown.text)]

    await bot.discord.until(said, 60)


@pytest.mark.parametrize("act", [ACTS["compare"], ACTS["delete"]], ids=["compare", "delete"])
async def test_words_come_once_discord_takes_messages_again(bot: Bot, act: Act) -> None:
    shown = await bot.ask("/upscale", {"image": PICTURE}, test=lambda m: m.images)
    bot.discord.faults.append(Fault("(POST|PATCH) .*/webhooks/", "reset", 12))
    asked = await act(bot, shown)
    await bot.discord.until(lambda: [m for m in (*asked.followups, asked.message) if m and "pause" in m.text])


@pytest.mark.parametrize(("status", "code"), [(403, 50013), (400, 200000), (400, 50083), (404, 10003), (403, 50001)])
async def test_a_question_that_no_place_takes_is_a_refusal_to_the_core(bot: Bot, status: int, code: int) -> None:
    bot.core.script = None
    bot.discord.limits.webhook = bot.discord.limits.channel = (1000, 1.0)
    await (await bot.discord.invoke("/upscale", {"image": PICTURE})).acknowledged()
    job_id = await bot.discord.until(lambda: next(iter(bot.core.begun), None))
    bot.discord.faults.append(
        Fault(r"(PATCH|POST) .*/(webhooks/.*|messages.*)", "status", times=99, status=status, code=code)
    )
    with pytest.raises(DeliveryRefused):
        await bot.core.ask(job_id)
