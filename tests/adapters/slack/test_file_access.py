"""Incoming files: which can be downloaded, the answer for those that cannot, and which hosts get our token."""

from typing import Any

import pytest

from tests.adapters.slack.conftest import World
from tests.emulators.slack import text_of
from tests.fakes.media import png


async def refusal_notice(world: World, **how: Any) -> str:
    await world.slack.member.dm("", [world.picture(**how)])
    row = (await world.until(lambda: list(world.service.rows.values())))[0]
    await world.until(lambda: row.job.error is not None, move=0.5)
    await world.idle()
    return text_of(world.slack.member.dms()[-1])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"serve": "html"}, "web page came"),
        ({"external_url": "drive"}, "another service"),
        ({"processed_at_s": 1e12}, "still being processed"),
        ({"lies": {"mode": []}}, "still being processed"),
        ({"lies": {"mimetype": {}}}, "still being processed"),
        ({"lies": {"shares": {"private": [[]]}}}, "still being processed"),
        ({"deleted": True}, "photo.png"),
        ({"mode": "quip"}, "not an image that can be read"),
        ({"mode": "list"}, "not an image that can be read"),
        ({"mode": "hidden_by_limit"}, "because of the workspace's plan"),
        ({"mode": "tombstone", "stub_in_events": True}, "no longer there"),
    ],
)
async def test_a_file_that_cannot_be_had_gets_its_own_answer(world: World, how: dict[str, Any], words: str) -> None:
    """The host of an external file never gets our token."""
    if "external_url" in how:
        how = {"external_url": f"{world.slack.external_url}/drive/photo.png"}
    assert words in await refusal_notice(world, **how)
    assert [r for r in world.slack.requests if r.host == "external"] == []


async def test_a_redirect_to_another_of_slacks_hosts_keeps_the_token(world: World) -> None:
    await world.slack.member.mention("", [world.picture(serve="redirect")])
    await world.result()
    assert [r.host for r in world.slack.requests if r.method == "download"] == ["files", "edge"]


async def test_a_redirect_away_from_slack_does_not_carry_the_token(world: World) -> None:
    world.slack.external_bytes = png(64, 48)
    await world.slack.member.mention("", [world.picture(serve="redirect_away")])
    await world.result()
    away = next(r for r in world.slack.requests if r.host == "external")
    assert away.token is None


@pytest.mark.parametrize("how", [{"stub_in_events": True}, {"processed_at_s": 6.0}])
async def test_a_stub_is_looked_up_and_a_file_that_slack_still_processes_is_waited_for(
    world: World, how: dict[str, Any]
) -> None:
    """Slack Connect sends only a stub."""
    if "processed_at_s" in how:
        how = {"processed_at_s": world.slack.clock.now() + how["processed_at_s"]}
    await world.slack.member.mention("", [world.picture(**how)])
    assert await world.result()


async def test_slack_is_asked_about_a_file_only_if_its_event_does_not_tell_all(world: World) -> None:
    asked = lambda: [r.args["file"] for r in world.slack.requests if r.method == "files.info"]  # noqa: E731
    picture = world.picture()
    await world.slack.member.mention("", [picture])
    await world.result()
    assert picture.id not in asked()
    stub = world.picture(stub_in_events=True)
    await world.slack.member.mention("", [stub])
    await world.result(number=2)
    assert stub.id in asked()
