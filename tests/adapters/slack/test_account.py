"""Subcommands, App Home, defaults, history and the buttons under a result."""

from dataclasses import replace

import pytest

from adapters.slack.views.blocks import clock_time
from adapters.slack.views.card import draw
from core.budgets.reports import UsageReport, UsageRow
from core.domain.limits import Limit, LimitStatus, Measure, Scope, ScopeKind, Window
from core.presentation.cards.budget import limits, usage
from tests.adapters.slack.conftest import World
from tests.emulators.slack import find_element, text_of
from tests.fakes.core import DatabaseAway


async def say(world: World, text: str, user: str = "anna") -> str:
    """Type `/upscale text` and return the private answer."""
    seen = {m.ts for m in world.bot_messages(user=user)}
    assert (await world.slack.member.command(text=text, user=user)).acked
    await world.until(lambda: {m.ts for m in world.bot_messages(user=user)} - seen, move=0.05)
    told = [m for m in world.bot_messages(user=user) if m.ts not in seen]
    assert all(m.ephemeral_for for m in told)
    return "\n".join(text_of(m) for m in told)


async def test_help_shows_what_can_be_typed(world: World) -> None:
    words = await say(world, "help")
    assert "/upscale https://… factor=3" in words
    assert "quota set" not in words
    assert "quota set" in await say(world, "help", user="ada")


async def test_usage_is_one_answer_with_a_table_of_its_days(world: World) -> None:
    await world.upscaled()
    words = await say(world, "usage week")
    assert "$0.40 · 1 image" in words
    (told,) = [m for m in world.bot_messages() if m.ephemeral_for]
    _, day = told.blocks[-1]["rows"]
    assert [cell["text"] for cell in day[1:]] == ["$0.40", "1", "▰" * 12]
    assert world.slack.member.dms() == []


async def test_moderators_see_who_used_most(world: World) -> None:
    world.service.spent_nanousd = 400_000_000
    assert "ada · $0.40" in await say(world, "usage", user="ada")


async def test_limits_are_shown_and_only_moderators_change_them(world: World) -> None:
    assert "$1.80 of $5.00 used, $3.20 left" in await say(world, "quota")
    assert "Only moderators" in await say(world, "quota set user day $5")
    assert "Limit set." in await say(world, "quota set <@U0BEN00001|ben> month $7.50", user="ada")
    await say(world, "quota set <#C0GENE0001|general> 20 images week", user="ada")
    await say(world, "quota set workspace 500 mp month", user="ada")
    assert "Limit removed." in await say(world, "quota clear user day", user="ada")
    team = "T0ACME00001"
    assert world.service.limit_calls == [
        (team, ScopeKind.USER, "U0BEN00001", Measure.USD, Window.MONTH, 7_500_000_000),
        (team, ScopeKind.CHANNEL, "C0GENE0001", Measure.JOBS, Window.WEEK, 20),
        (team, ScopeKind.WORKSPACE, team, Measure.MEGAPIXELS, Window.MONTH, 500),
        (team, ScopeKind.USER, "", Measure.USD, Window.DAY, None),
    ]


async def test_a_mistyped_word_after_quota_is_named_with_what_there_is(world: World) -> None:
    words = await say(world, "quota sett user day $5", user="ada")
    assert "quota cannot be “sett”. Choose show, set, clear, workspace, pause, resume, alerts, sponsor" in words


async def test_a_limit_that_cannot_be_read_is_explained(world: World) -> None:
    assert "user, @member" in await say(world, "quota set $5", user="ada")
    assert "needs a value" not in await say(world, "quota set everything -5", user="ada")
    assert "needs the permission usergroups:read" in await say(world, "quota set <!subteam^S01> $5", user="ada")


async def test_moderators_sponsor_a_channel_and_see_every_limit_of_the_workspace(world: World) -> None:
    words = await say(world, "quota sponsor <#C0PRIV0001|studio> $20 3 days", user="ada")
    assert "from a budget of" in words
    assert "$20.00" in words
    await say(world, "quota sponsor <#C0PRIV0001|studio> off", user="ada")
    assert world.service.sponsors[0] == ("C0PRIV0001", 20_000_000_000, 3)
    assert world.service.sponsors[1][1] is None
    assert "quota sponsor #channel $20" in await say(world, "quota sponsor", user="ada")
    assert "Limits" in await say(world, "quota workspace", user="ada")
    assert "Only moderators" in await say(world, "quota workspace")


async def test_alerts_go_to_the_chosen_channel(world: World) -> None:
    await say(world, "quota alerts <#C0PRIV0001|studio>", user="ada")
    await say(world, "quota alerts off", user="ada")
    assert world.service.alert_channels == ["C0PRIV0001", None]


async def test_history_sends_a_kept_picture_again_directly(world: World) -> None:
    await world.upscaled()
    assert "photo.png · done" in await say(world, "history")
    await world.slack.member.click(world.bot_messages()[-1], "job:redeliver:")
    [again] = await world.until(lambda: [m for m in world.slack.member.dms() if " is ready" in m.text], move=0.1)
    await world.slack.member.click(again, "job:delete:")
    await world.until(lambda: [m for m in world.slack.member.dms() if "earlier message still shows" in text_of(m)])
    assert again.deleted
    assert [job.images_deleted for job in world.service.jobs.values() if not job.parent_id] == [True]


async def test_history_has_as_many_images_as_were_asked_for(world: World) -> None:
    for number in (1, 2):
        await world.slack.member.mention("", [world.picture(f"{number}.png")])
        await world.result(number=number)
    assert "1.png" in await say(world, "history")
    newest = await say(world, "history 1")
    assert "2.png" in newest
    assert "1.png" not in newest
    for wrong in ("0", "21", "all", "1.5", "-1"):
        assert f"history must be 1–20; you wrote {wrong}" in await say(world, f"history {wrong}")


async def test_defaults_are_saved_shown_used_and_reset(world: World) -> None:
    assert "factor 3" in await say(world, "settings factor=3 creative")
    await world.upscaled()
    assert next(iter(world.service.rows.values())).job.parameters.factor == 3
    assert "must be 1–4" in await say(world, "settings factor=9")
    assert "No defaults saved" in await say(world, "settings reset")


async def test_a_preset_of_ones_own_is_saved_used_everywhere_and_deleted(world: World) -> None:
    words = await say(world, "settings save logo 4x creativity=0.2")
    assert "Your preset logo is saved." in words
    assert "logo factor=4 creativity=0.2" in words
    assert "/upscale settings delete logo" in words
    member, rows = world.slack.member, world.service.rows
    await member.command(text="https://example.org/a.png logo")
    await member.mention("please make our Logo bigger, thanks", [world.picture()])
    await member.dm("logo steps=9", [world.picture()])
    await world.until(lambda: len(rows) == 3)
    assert {row.job.parameters.factor for row in rows.values()} == {4.0}
    assert "I don't understand “logo”" in await say(world, "https://example.org/a.png logo", user="ben")
    assert "it was factor=4 creativity=0.2" in await say(world, "settings save logo 3x")
    assert "“factor” is the name of a parameter." in await say(world, "settings save factor 3")
    assert "Your preset logo is deleted." in await say(world, "settings delete logo")
    assert "You have no preset “logo”." in await say(world, "settings delete logo")


async def test_privacy_explains_exports_and_deletes(world: World) -> None:
    await world.upscaled()
    assert "Images are kept for 7 days" in await say(world, "privacy")
    shown = world.bot_messages()[-1]
    await world.slack.member.click(shown, "ui:export")
    await world.until(lambda: [m for m in world.slack.member.dms() if m.files], move=0.1)
    assert find_element(shown.blocks, "ui:erase")[1]["confirm"]
    await world.slack.member.click(shown, "ui:erase")
    await world.until(lambda: world.service.rows == {})


@pytest.mark.parametrize("word", ["help", "usage", "history", "settings", "privacy", "quota"])
async def test_the_words_work_in_a_direct_message_too(world: World, word: str) -> None:
    await world.slack.member.dm(word)
    answer = await world.until(lambda: [m for m in world.slack.member.dms() if m.bot], move=0.05)
    assert text_of(answer[0])


async def test_home_shows_usage_limits_defaults_and_history(world: World) -> None:
    await world.upscaled()
    await world.slack.member.open_home()
    home = await world.until(lambda: world.slack.member.home())
    words = text_of(home)
    for part in ("Upscale an image", "$0.40 · 1 image", "$3.20 left", "Your defaults", "photo.png · done"):
        assert part in words
    await world.slack.member.click(home, "ui:defaults")
    await world.until(lambda: world.slack.member.open_view())
    wrong = await world.slack.member.submit_view({"text": "factor=9"})
    assert "must be 1–4" in wrong.errors["text"]
    await world.slack.member.submit_view({"text": "factor=4"})
    await world.until(lambda: "factor 4" in text_of(world.slack.member.home() or home))


async def test_home_opens_the_form(world: World) -> None:
    await world.slack.member.open_home()
    home = await world.until(lambda: world.slack.member.home())
    await world.slack.member.click(home, "ui:form")
    assert await world.until(lambda: world.slack.member.open_view())


# ----------------------------------------------------------------- buttons of a result


async def test_compare_posts_before_and_after_in_the_thread_once(world: World) -> None:
    result = await world.upscaled()
    await world.slack.member.click(result, "job:compare:")
    await world.slack.member.click(result, "job:compare:", user="ben")
    compared = await world.until(lambda: [m for m in world.bot_messages() if "Compare" in m.text], move=0.1)
    assert len(compared) == 1
    assert compared[0].thread_ts == result.thread_ts
    assert compared[0].blocks[0]["type"] == "image"


async def test_details_opens_at_once_and_is_filled(world: World) -> None:
    result = await world.upscaled()
    await world.slack.member.click(result, "job:details:")
    view = await world.until(lambda: world.slack.member.open_view())
    await world.until(lambda: "guidance 1" in text_of(view))
    assert next(iter(world.service.rows)) in text_of(view)


async def test_share_gives_its_requester_an_address_where_there_is_one(world: World) -> None:
    world.service.can_share = True
    result = await world.upscaled()
    await world.slack.member.click(result, "job:share:")
    told = await world.until(lambda: [m for m in world.bot_messages() if m.ephemeral_for], move=0.1)
    assert "Anyone with this link" in text_of(told[0])


@pytest.mark.parametrize("who", ["anna", "ada"])
async def test_delete_removes_the_picture_the_file_and_the_message_for_requester_and_moderators(
    world: World, who: str
) -> None:
    result = await world.upscaled()
    file = world.slack.world.files[result.blocks[0]["slack_file"]["id"]]
    await world.slack.member.click(result, "job:delete:", user="ben")
    told = await world.until(lambda: [m for m in world.bot_messages(user="ben") if m.ephemeral_for], move=0.05)
    assert "Only the person who asked" in text_of(told[0])
    assert not file.deleted
    assert find_element(result.blocks, "job:delete:")[1]["confirm"]["deny"]["text"] == "Keep"
    await world.slack.member.click(result, "job:delete:", user=who)
    await world.until(lambda: file.deleted and result.deleted, move=0.05)


@pytest.mark.parametrize("verb", ["again", "more_creative", "twice_more"])
async def test_the_buttons_make_new_jobs_in_the_same_thread(world: World, verb: str) -> None:
    result = await world.upscaled()
    await world.slack.member.click(result, f"job:{verb}:", user="ben")
    second = await world.result(number=2)
    assert second.thread_ts == result.thread_ts
    assert [row.job.requester.user_name for row in world.service.rows.values()] == ["anna", "ben"]


async def test_a_moderator_reads_whose_limit_each_is_and_whose_usage(world: World) -> None:
    everybody = Limit(Scope(ScopeKind.USER, "slack", "T0ACME00001"), Measure.USD, Window.DAY, 10**9)
    ben = replace(everybody, scope=replace(everybody.scope, id="U0BEN00001"))
    studio = replace(everybody, scope=Scope(ScopeKind.CHANNEL, "slack", "T0ACME00001", "C0PRIV0001"))
    statuses = [LimitStatus(limit, 0, 0, None) for limit in (everybody, ben, studio)]
    shown = str(draw(limits(statuses, "en", platform="slack", of_all=True)).blocks)
    assert "Each member" in shown
    assert "{'type': 'user', 'user_id': 'U0BEN00001'}" in shown
    assert "{'type': 'channel', 'channel_id': 'C0PRIV0001'}" in shown
    assert "you," not in shown
    assert "Usage of ben" in await say(world, "usage <@U0BEN00001|ben>", user="ada")


async def test_a_word_that_no_limit_knows_is_answered_with_examples(world: World) -> None:
    words = await say(world, "quota set user $1 fortnight", user="ada")
    assert "fortnight" in words
    assert "workspace 20 images hour" in words
    assert world.service.limit_calls == []


def test_a_time_can_be_read_where_a_client_cannot_draw_it() -> None:
    assert clock_time(1_795_521_600.0)["fallback"] == "2026-11-24 12:00 UTC"


def test_the_sums_of_a_deleted_member_stand_without_a_name() -> None:
    rows = (UsageRow("slack:erased:0", "", 800_000_000, 1, 8.0),)
    report = UsageReport(
        "workspace", "month", "UTC", "2026-11-01", "2026-11-30", 800_000_000, 0, 1, 8.0, (), rows, None, False
    )
    drawn = str(draw(usage(report, (), "en")).blocks)
    assert "a deleted member" in drawn
    assert "$0.80 · 1 image" in drawn


async def test_moderators_give_extras_see_the_history_and_choose_presets(world: World) -> None:
    assert "Only moderators" in await say(world, "quota add <@U0BEN00001|ben> $2 today")
    assert "They have more" in await say(world, "quota add <@U0BEN00001|ben> $2 today", user="ada")
    assert "second" in await say(world, "quota history", user="ada")
    assert "Presets are changed" in await say(world, "quota presets <#C0GENE0001|general> 2x faithful", user="ada")
    await say(world, "quota presets off", user="ada")
    assert world.service.moderated == [
        ("extra", "U0BEN00001", 2_000_000_000, "day"),
        ("presets", "2x faithful", "C0GENE0001"),
        ("presets", "off", ""),
    ]


async def test_moderators_see_what_runs_here_and_cancel_one(world: World) -> None:
    await world.held("upscaling")
    words = await say(world, "queue", user="ada")
    assert "Running and waiting" in words
    assert words.count("photo.png") == 1
    (shown,) = [m for m in world.bot_messages(user="ada") if m.ephemeral_for and "Running and waiting" in text_of(m)]
    await world.slack.member.click(shown, "job:cancel:", user="ada")
    await world.until(lambda: any("Cancelled" in text_of(m) for m in world.bot_messages()), move=0.2)


async def test_where_nothing_was_to_be_started_an_absent_database_is_said_without_it(world: World) -> None:
    async def away(*_: object, **__: object) -> None:
        raise DatabaseAway

    world.service.change_settings = away  # type: ignore[assignment]
    words = await say(world, "settings 3x")
    assert "The bot cannot be reached right now." in words
    assert "started" not in words
