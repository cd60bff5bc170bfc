"""The app is removed from a workspace, seems to be, or was and is there again."""

import pytest

from adapters.slack.setup.installations import AREA, Installations
from tests.adapters.slack.conftest import BETA, World, install
from tests.typed import unwrap

ACME = "T0ACME00001"


async def test_uninstalling_forgets_the_token_and_the_workspace(many: World) -> None:
    await install(many, "T0ACME00001")
    many.service.hold_at = "upscaling"
    await many.slack.member.mention("", [many.picture()])
    await many.until(lambda: many.stage() == "upscaling", move=0.3)
    await many.slack.member.uninstall()
    await many.until(lambda: many.service.forgotten)
    assert [key for area, key in many.state.values if area == AREA] == []
    assert set(many.service.forgotten) == {("slack", "T0ACME00001")}


async def test_a_revoked_token_ends_the_job_quietly_and_purges(world: World) -> None:
    await world.held("upscaling")
    world.slack.member.revoke()
    world.service.release("upscaling")
    await world.until(lambda: world.service.forgotten, move=0.3)
    assert world.service.forgotten == [("slack", "T0ACME00001")]
    assert world.service.caught == []


async def test_an_answer_that_an_address_may_get_too_is_no_removal(many: World) -> None:
    """Slack: `invalid_auth` means a wrong token, or an address that may not use it. The job waits until that passes."""
    await install(many, ACME)
    many.service.hold_at = "upscaling"
    await many.slack.member.mention("", [many.picture()])
    await many.until(lambda: many.stage() == "upscaling", move=0.3)
    many.slack.member.revoke(state="invalid_auth")
    many.service.release("upscaling")
    await many.until(lambda: len([r for r in many.slack.requests if r.error == "invalid_auth"]) > 9, move=0.3)
    many.slack.member.revoke(state="valid")
    assert await many.result()
    assert not many.service.forgotten
    assert not [m for m in many.bot_messages() if "job:cancel:" in str(m.blocks)]


async def test_a_removal_that_is_announced_after_a_new_installation_is_over(many: World) -> None:
    await install(many, ACME)
    late = many.slack.member._event(many.slack.member.space(), {"type": "app_uninstalled"})
    many.slack.member.revoke()
    many.slack.clock.advance(60)
    await install(many, ACME)
    assert (await many.slack.delivery.event(late)).ok
    await many.slack.member.mention("", [many.picture()])
    assert await many.result()
    assert not many.service.forgotten


async def test_a_replica_that_knows_the_token_of_before_takes_the_new_one(many: World) -> None:
    """Another process took the removal and the new installation."""
    await install(many, ACME)
    old = unwrap(many.adapter._installs.cached(ACME))
    many.slack.member.revoke()
    await install(many, ACME)
    new = unwrap(many.adapter._installs.cached(ACME))
    many.adapter._installs._known[ACME] = old
    await many.slack.member.mention("", [many.picture()])
    assert await many.result()
    assert not many.service.forgotten
    others = Installations(many.state, many.slack.clock)
    await others.load()
    assert others.all() == many.adapter._installs.all() == [new]
    assert many.state.values[(AREA, ACME)]["bot_token"] == new.bot_token


@pytest.mark.parametrize("again", [True, False])
async def test_a_late_word_that_access_was_revoked_deletes_nothing_where_it_was_granted_again(
    many: World, again: bool
) -> None:
    space = many.slack.member.space()
    for one in (space, many.slack.member.space(BETA)):
        one.enterprise_id = "E0ORG000001"
    await install(many, ACME, org=True)
    late = many.slack.member._event(space, {"type": "team_access_revoked", "team_ids": [ACME, BETA]})
    many.slack.clock.advance(90)
    if not again:
        many.slack.member.space(BETA).enterprise_id = None
    assert (await many.slack.delivery.event(late)).ok
    await many.until(lambda: [r for r in many.slack.requests if r.method == "auth.teams.list"])
    await many.adapter._handler_context().tasks.close(grace_s=2)
    assert many.service.forgotten == ([] if again else [("slack", BETA)])
