"""Menus, the modal, choices among several pictures, and the other commands."""

import io
import zipfile
from pathlib import Path

import pytest

from adapters.discord.inbound.account_commands import without_images
from core.domain.limits import Measure, ScopeKind, Window
from tests.adapters.discord.fake_service import png
from tests.adapters.discord.kit import Bot, delete
from tests.emulators.discord import ClientRefused, Upload
from tests.emulators.discord.world import MANAGE_GUILD, MEMBER_PERMISSIONS, User

RED, GREEN = Upload("red.png", png(100, 50, "red")), Upload("green.png", png(1200, 800, "green"))


def _moderator(bot: Bot) -> User:
    user = bot.discord.world.add_user("mod")
    bot.discord.guild.permissions[user.id] = MEMBER_PERMISSIONS | MANAGE_GUILD
    return user


async def test_usage_shows_totals_and_a_chart_and_members_to_moderators_only(bot: Bot) -> None:
    own = await bot.ask("/usage", test=lambda m: m.images)
    moderator = _moderator(bot)
    theirs = await (
        await bot.discord.invoke("/usage", {"period": "week", "member": bot.discord.user}, user=moderator)
    ).answer(lambda m: m.images)

    assert own.ephemeral
    assert "$3.20" in own.text
    assert "Top members" not in own.text
    assert "Top members" in theirs.text
    assert theirs.pinged == frozenset()


async def test_usage_is_told_in_numbers_when_the_chart_cannot_be_drawn(bot: Bot) -> None:
    bot.core.chart_broken = True
    message = await bot.ask("/usage")

    assert "$3.20" in message.text
    assert message.images == ()


async def test_usage_of_another_member_is_refused_to_members(bot: Bot) -> None:
    other = bot.discord.world.add_user("bob")
    message = await bot.ask("/usage", {"member": other})

    assert "Only moderators" in message.text


async def test_quota_is_offered_to_moderators_and_sets_shows_and_clears(bot: Bot) -> None:
    with pytest.raises(ClientRefused):
        await bot.discord.invoke("/quota show")
    moderator = _moderator(bot)
    guild = str(bot.discord.guild.id)
    shown = await bot.ask("/quota show", user=moderator)
    assert "$0.40 of $5.00 used" in shown.text

    await (
        await bot.discord.invoke(
            "/quota set", {"measure": "usd", "amount": 12.5, "window": "week", "scope": "members"}, user=moderator
        )
    ).answer(lambda m: "Limit set" in m.text)
    assert bot.core.limit_calls[-1] == (guild, ScopeKind.USER, "", Measure.USD, Window.WEEK, 12_500_000_000)

    choices = await bot.discord.autocomplete("/quota clear", "limit", "week", user=moderator)
    assert len(choices) == 1
    assert "limit cannot be" in (await bot.ask("/quota clear", {"limit": "week"}, user=moderator)).text
    await (await bot.discord.invoke("/quota clear", {"limit": choices[0]["value"]}, user=moderator)).answer(
        lambda m: "Limit removed" in m.text
    )
    assert bot.core.limit_calls[-1][-1] is None


async def test_quota_takes_members_roles_and_channels_by_their_pickers(bot: Bot) -> None:
    moderator = _moderator(bot)
    for option, kind, value in (
        ("member", ScopeKind.USER, bot.discord.user),
        ("channel", ScopeKind.CHANNEL, bot.discord.channel),
    ):
        started = await bot.discord.invoke(
            "/quota set", {"measure": "jobs", "amount": 5.0, option: value}, user=moderator
        )
        await started.answer(lambda m: "Limit set" in m.text)
        assert bot.core.limit_calls[-1][1:] == (kind, str(value.id), Measure.JOBS, Window.DAY, 5)


async def test_moderators_alert_sponsor_give_extras_see_the_history_and_choose_presets(bot: Bot) -> None:
    moderator, channel, core = _moderator(bot), bot.discord.channel, bot.core
    mention = f"<#{channel.id}>"
    for command, options, told in (
        ("alerts", {"channel": channel}, (mention,)),
        ("sponsor", {"channel": channel, "amount": 20.0, "days": 3}, (mention, "$20.00")),
        ("add", {"member": moderator, "amount": 2.0}, ("They have more",)),
        ("history", {}, ("first", "second")),
        ("presets", {"parameters": "2x faithful", "channel": channel}, ("Presets are changed",)),
        ("set", {"measure": "jobs", "amount": 2.5}, ("amount must be",)),
        ("set", {"measure": "jobs", "amount": 5.0, "member": moderator, "channel": channel}, ("do not go together",)),
        ("set", {"measure": "jobs", "amount": 5.0, "member": moderator, "scope": "channels"}, ("do not go together",)),
        ("clear", {"limit": "typed by hand"}, ("$0.40 of $5.00 used",)),  # there is none to choose
    ):
        message = await bot.ask(f"/quota {command}", options, user=moderator)
        assert message.ephemeral
        assert [words for words in told if words not in message.text] == [], command
        assert "started" not in message.text
    assert core.alert_channels == [str(channel.id)]
    assert core.sponsors[-1][:2] == (str(channel.id), 20_000_000_000)
    assert core.moderated == [
        ("extra", str(moderator.id), 2_000_000_000, "day"),
        ("presets", "2x faithful", str(channel.id)),
    ]
    assert core.limit_calls == []


async def test_history_shows_kept_pictures_again_for_free(bot: Bot) -> None:
    first = await bot.ask("/upscale", {"image": RED}, test=lambda m: m.images)
    await bot.core.settle()
    listed = await bot.ask("/history")
    assert listed.ephemeral
    assert "done" in listed.text
    second = await bot.ask("/upscale", {"image": Upload("second.png", png(60, 50))}, test=lambda m: m.images)
    await bot.core.settle()
    assert second.id != first.id
    newest = await bot.ask("/history", {"count": 1})
    assert ("second.png" in newest.text, "red.png" in newest.text) == (True, False)
    job_id = next(iter(bot.core.jobs))
    chosen = await bot.discord.click(listed, custom_id=listed.selects[0]["custom_id"], values=[job_id])
    again = await chosen.answer(lambda m: m.images)

    assert again.ephemeral
    assert again.id != first.id
    assert "$0.00" in again.text
    said = await (await delete(bot.discord, again)).answer(lambda m: "earlier message still shows" in m.text)
    assert {m.id for m in bot.discord.messages() if m.images} == {first.id, second.id}
    assert (bot.core.jobs[job_id].images_deleted, said.ephemeral) == (True, True)


async def test_settings_are_saved_shown_and_cleared(bot: Bot) -> None:
    await bot.ask("/settings set", {"factor": 3.5, "preset": "faithful"})
    for asked in ("/settings show", "/settings set"):
        shown = await bot.ask(asked)
        assert "`factor` **3.5**" in shown.text
        assert "`preset` **faithful**" in shown.text
    cleared = await bot.ask("/settings clear")

    assert "`factor` 2" in cleared.text


async def test_a_preset_of_ones_own_is_saved_offered_used_and_deleted(bot: Bot) -> None:
    saved = await bot.ask("/settings save", {"name": "Logo", "factor": 4.0, "creativity": 0.2, "seed": 7})
    assert "Your preset `logo` is saved." in saved.text
    assert "`logo` factor=4 creativity=0.2 seed=7" in saved.text
    assert "`/settings delete`" in saved.text
    offered = await bot.discord.autocomplete("/upscale", "preset")
    assert [each["value"] for each in offered] == ["faithful", "balanced", "creative", "logo"]
    assert await bot.discord.autocomplete("/upscale", "preset", "creativity=0.2") == [offered[-1]]
    assert [each["value"] for each in await bot.discord.autocomplete("/upscale", "preset", "lo")] == [
        "logo",
        "faithful",
    ]
    assert await bot.discord.autocomplete("/settings delete", "name") == [offered[-1]]
    other = bot.discord.world.add_user("other")
    assert "logo" not in str(await bot.discord.autocomplete("/upscale", "preset", user=other))

    result = await bot.ask("/upscale", {"image": GREEN, "preset": "logo"}, lambda m: m.images)
    chosen = next(iter(bot.core.jobs.values())).parameters
    assert (chosen.factor, chosen.creativity) == (4.0, 0.2)
    refused = await bot.ask("/upscale", {"image": GREEN, "preset": "logo"}, user=other)
    assert result.images
    assert refused.ephemeral
    assert "preset cannot be “logo”" in refused.text

    gone = await bot.ask("/settings delete", {"name": "logo"})
    assert "Your preset `logo` is deleted." in gone.text
    named = await bot.ask("/settings save", {"name": "creative", "factor": 4.0})
    assert "“creative” is a preset that everybody has." in named.text


async def test_privacy_export_is_a_file_for_the_member_alone(bot: Bot) -> None:
    message = await bot.ask("/privacy export", test=lambda m: m.files)

    assert message.ephemeral
    names = zipfile.ZipFile(io.BytesIO(message.files[0].read())).namelist()
    assert names == ["data.json", "images/a.png"]


async def test_an_export_too_large_for_discord_comes_without_the_pictures(bot: Bot) -> None:
    bot.core.export_bytes = 3 * 1024 * 1024
    message = await bot.ask("/privacy export", attachment_size_limit=1024 * 1024, test=lambda m: m.files)

    assert zipfile.ZipFile(io.BytesIO(message.files[0].read())).namelist() == ["data.json"]
    assert "too big" in message.text


async def test_privacy_delete_asks_first_and_then_deletes(bot: Bot) -> None:
    await bot.ask("/upscale", {"image": RED}, test=lambda m: m.images)
    await bot.core.settle()
    question = await bot.ask("/privacy delete")
    assert len(bot.core.jobs) == 1
    await bot.discord.click(question, "Delete")
    await bot.discord.until(lambda: not bot.core.jobs)


async def test_help_says_what_it_is_and_from_which_price_it_asks(bot: Bot) -> None:
    message = await bot.ask("/help")

    assert "/upscale" in message.text
    assert "$1.00" in message.text


async def test_commands_work_in_direct_messages_and_in_servers_without_the_bot(bot: Bot) -> None:
    dm = bot.discord.world.dm_with(bot.discord.user)
    guild = bot.discord.world.add_guild("Elsewhere", bot_inside=False)
    places = [(dm, "user"), (dm, "guild"), (bot.discord.world.add_channel(guild), "user")]
    for channel, install in places:
        await bot.ask("/upscale", {"image": RED}, channel=channel, install=install, test=lambda m: m.images)
    await bot.core.settle()

    assert [r.requester.workspace_id for r in bot.core.requests] == ["", "", str(guild.id)]


async def test_an_export_refused_in_spite_of_the_announcement_comes_without_the_pictures(bot: Bot) -> None:
    bot.core.export_bytes = 3 * 1024 * 1024
    bot.discord.posts.hard_file_limit_bytes = 1024 * 1024
    message = await bot.ask("/privacy export", test=lambda m: m.files)

    assert zipfile.ZipFile(io.BytesIO(message.files[0].read())).namelist() == ["data.json"]


def test_a_smaller_export_leaves_out_pictures_whatever_their_names(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as whole:
        for name in ("data.json", "images/a.png", "images/abc/result", "images/abc/source.bin"):
            whole.writestr(name, "x")
    made = without_images(tmp_path / "whole.zip")

    assert zipfile.ZipFile(made).namelist() == ["data.json"]
    made.unlink()


async def test_moderators_see_the_queue_of_their_server_and_cancel_one(bot: Bot) -> None:
    bot.core.script = None
    await (await bot.discord.invoke("/upscale", {"image": RED})).acknowledged()
    job_id = await bot.discord.until(lambda: next(iter(bot.core.jobs), None))
    with pytest.raises(ClientRefused):
        await bot.discord.invoke("/queue")
    moderator = _moderator(bot)
    shown = await bot.ask("/queue", user=moderator, test=lambda m: m.selects)
    assert shown.ephemeral
    assert "red.png" in shown.text
    select = shown.selects[0]
    assert [option["value"] for option in select["options"]] == [job_id]
    await bot.discord.click(shown, custom_id=select["custom_id"], values=[job_id], user=moderator)
    await bot.discord.until(lambda: bot.core.jobs[job_id].state.terminal)
    await bot.discord.until(
        lambda: [m for m in bot.discord.messages(user=moderator) if m.id == shown.id and "Nothing runs" in m.text]
    )
