"""Many workspaces: installation, org installs, storage, token rotation, removal, and isolation."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from yarl import URL

from adapters.slack.outbound.api_client import Team
from adapters.slack.outbound.streaming import StreamSupport
from adapters.slack.setup import installations
from adapters.slack.setup.installations import AREA, Install, Installations
from adapters.slack.setup.oauth import MAX_EXCHANGES_PER_CLIENT, MAX_EXCHANGES_PER_MINUTE
from core.net.client_address import CLIENT
from tests.adapters.slack.conftest import BETA, World, install, make_world
from tests.emulators.slack import SlackEmulator, text_of
from tests.fakes.state import MemoryState
from tests.typed import unwrap


async def test_people_install_into_their_workspace_and_it_works_at_once(many: World) -> None:
    member = many.slack.member
    assert not many.service.rows
    answer = await install(many, "T0ACME00001")
    assert answer.status == 200
    await member.mention("", [many.picture()])
    assert await many.result()


async def test_an_installation_link_works_once_and_only_in_the_browser_that_began(many: World) -> None:
    stolen = await install(many, "T0ACME00001", steal_state=True)
    assert stolen.status == 400
    assert many.state.values == {} or AREA not in {area for area, _ in many.state.values}


@pytest.mark.parametrize("fault", [{"drop": True}, {"status": 503, "body": "<html>"}, {"error": "invalid_code"}])
async def test_an_installation_that_slack_does_not_complete_is_told_on_the_page(
    many: World, fault: dict[str, Any]
) -> None:
    many.slack.fault("oauth.v2.access", **fault)
    answer = await install(many, "T0ACME00001")
    assert (answer.status, answer.content_type) == (400, "text/html")
    assert (await install(many, "T0ACME00001")).status == 200


async def test_a_state_that_led_to_an_installation_leads_to_no_second_one_in_another_process(
    many: World, tmp_path: Path
) -> None:
    other = make_world(many.slack, tmp_path / "other", **many.settings.model_dump())
    for world in (many, other):
        world.adapter._oauth.client = world.adapter._client()
    other.adapter._oauth.state = many.state
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        async with browser.get(f"{many.base_url}/slack/install", allow_redirects=False) as first:
            target = URL(first.headers["Location"]).update_query(team=BETA, org="0")
            cookie = first.cookies["slack-install-state"].value
        codes = []
        for _ in range(2):
            async with browser.get(target, allow_redirects=False) as second:
                codes.append(URL(second.headers["Location"]).query["code"])
    state = target.query["state"]
    headers = {"Cookie": f"slack-install-state={cookie}"}
    answers = []
    for world, code in zip((many, other), codes, strict=True):
        request = make_mocked_request("GET", f"/slack/oauth_redirect?code={code}&state={state}", headers=headers)
        answers.append((await world.adapter._oauth.redirect(request)).status)
    assert answers == [200, 400]


async def test_a_stranger_with_made_up_codes_keeps_nobody_from_installing(many: World) -> None:
    oauth = many.adapter._oauth
    oauth.client = many.adapter._client()

    async def returns(client: str) -> int:
        request = make_mocked_request("GET", "/slack/install")
        state = (await oauth.install(request)).cookies["slack-install-state"].value
        headers = {"Cookie": f"slack-install-state={state}"}
        request = make_mocked_request("GET", f"/slack/oauth_redirect?code=made-up&state={state}", headers=headers)
        request[CLIENT] = client
        with suppress(web.HTTPTooManyRequests):
            return (await oauth.redirect(request)).status
        return 429

    many.slack.clock.advance(120)
    answers = [await returns("203.0.113.9") for _ in range(100)]
    assert answers == [400] * MAX_EXCHANGES_PER_CLIENT + [429] * (100 - MAX_EXCHANGES_PER_CLIENT)
    assert (await install(many, "T0ACME00001")).status == 200
    crowd = await asyncio.gather(*(returns(f"198.51.100.{number}") for number in range(100)))
    assert crowd.count(400) + MAX_EXCHANGES_PER_CLIENT + 1 == MAX_EXCHANGES_PER_MINUTE
    many.slack.clock.advance(60)
    assert await returns("203.0.113.9") == 400
    assert len(oauth._exchanges) == 1


async def test_each_workspace_gets_its_own_token_and_sees_only_its_own(many: World) -> None:
    member = many.slack.member
    await install(many, "T0ACME00001")
    await install(many, BETA)
    ours = member.file(b"", "beta.png", team=BETA)
    ours.data = many.picture().data
    await member.mention("", [ours], team=BETA)
    await many.until(lambda: many.results(team=BETA), move=0.2)
    await many.idle()
    result = many.results(team=BETA)[0]
    assert many.results() == []
    job = next(iter(many.service.rows.values())).job
    # Somebody of the other workspace presses a button carrying this job's id.
    fake = member.post("", channel="general")
    fake.blocks, fake.bot = result.blocks, True
    await member.click(fake, "job:again:")
    told = await many.until(lambda: [m for m in many.bot_messages() if m.ephemeral_for], move=0.1)
    assert "not known here" in text_of(told[0])
    await member.click(fake, "job:delete:")
    await many.idle()
    assert not many.service.rows[job.id].job.images_deleted
    used = {r.token for r in many.slack.requests if r.method == "chat.postMessage" and r.team_id == BETA}
    assert used == {many.state.values[(AREA, BETA)]["bot_token"]}


async def test_no_lookup_and_no_auth_test_stands_before_an_acknowledgement(many: World) -> None:
    await install(many, "T0ACME00001")
    seen = len(many.slack.requests)
    assert (await many.slack.member.command(text="")).acked
    await many.until(lambda: many.slack.member.open_view())
    assert many.slack.requests[seen].method == "views.open"


async def test_installs_survive_a_restart(many: World) -> None:
    await install(many, "T0ACME00001")
    await many.restart()
    await many.slack.member.mention("", [many.picture()])
    assert await many.result()


async def test_an_org_install_serves_all_its_workspaces(many: World) -> None:
    for space in many.slack.world.workspaces.values():
        space.enterprise_id = "E0ORG000001"
    assert (await install(many, "T0ACME00001", org=True)).status == 200
    assert [key for area, key in many.state.values if area == AREA] == ["E0ORG000001"]
    await many.slack.member.command(text="help", team=BETA)
    told = await many.until(lambda: [m for m in many.bot_messages(team=BETA) if m.ephemeral_for])
    assert "How to upscale an image" in text_of(told[0])
    await many.slack.member.mention("", [many.picture()])
    assert await many.result()


async def test_rotating_tokens_are_renewed_before_they_end_and_when_they_have_ended(many: World) -> None:
    many.slack.token_rotation = True
    await install(many, "T0ACME00001")
    first = many.state.values[(AREA, "T0ACME00001")]["bot_token"]
    many.slack.clock.advance(11 * 3600)
    await many.slack.member.mention("", [many.picture("a.png")])
    assert await many.result()
    second = many.state.values[(AREA, "T0ACME00001")]["bot_token"]
    assert second != first
    many.slack.clock.advance(13 * 3600)
    await many.slack.member.mention("", [many.picture("b.png")])
    assert await many.result(number=2)
    assert [r for r in many.slack.calls("oauth.v2.access") if r.error] == []


@pytest.mark.parametrize("fault", [{"error": "internal_error"}, {"drop": True}])
async def test_a_token_that_cannot_be_renewed_at_the_moment_is_no_removal(
    many: World, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any]
) -> None:
    monkeypatch.setattr(installations, "ROTATION_TURN_S", 0.0)  # nobody waits for another process
    many.slack.token_rotation = True
    await install(many, "T0ACME00001")
    many.slack.clock.advance(13 * 3600)
    many.slack.fault("oauth.v2.access", times=99, **fault)
    await many.slack.member.mention("", [many.picture()])
    await many.until(lambda: many.slack.calls("oauth.v2.access")[2:], move=1.0)
    many.slack.faults.clear()
    assert await many.result()
    assert not many.service.forgotten


async def test_two_replicas_do_not_spend_one_refresh_token_twice(slack: SlackEmulator) -> None:
    clock = slack.clock
    state = MemoryState(clock)
    spent: list[str] = []

    async def renew(install: Install) -> Install:
        spent.append(install.refresh_token)
        return Install("T1", "", "xoxb-new", refresh_token="next", expires_at=clock.now() + 43_200)

    replicas = [Installations(state, clock) for _ in range(2)]
    old = Install("T1", "", "xoxb-old", refresh_token="once", expires_at=clock.now() + 60)
    await replicas[0].save(old)
    for replica in replicas:
        await replica.load()
        replica.mark_loaded()
        replica.renew = renew
    found = [await replica.find("T1") for replica in replicas]
    assert spent == ["once"]
    assert unwrap(found[0]).bot_token == "xoxb-new"


async def test_an_installation_stored_in_another_form_counts_as_none(slack: SlackEmulator) -> None:
    state = MemoryState(slack.clock)
    install = Install("T1", "", "xoxb-kept", name="Acme")
    await Installations(state, slack.clock).save(install)
    await state.put(AREA, "T1", {**state.values[AREA, "T1"], "scopes": ["kept", "until 0.1.0"]})
    await state.put(AREA, "T2", {"team_id": "T2", "bot_token": 5})
    await state.put(AREA, "T3", ["T3"])
    installs = Installations(state, slack.clock)
    await installs.load()
    installs.mark_loaded()
    assert installs.all() == [install]
    assert await installs.find("T3") is None


async def test_a_refusal_of_streams_is_remembered_by_all_processes_for_a_week(slack: SlackEmulator) -> None:
    state = MemoryState(slack.clock)
    here, there = StreamSupport(state), StreamSupport(state)
    assert await here.allowed(Team("T1"), "channel")
    await here.refused(Team("T1"), "channel", "channel_type_not_supported")
    assert [await probe.allowed(Team("T1"), "channel") for probe in (here, there)] == [False, False]
    assert await there.allowed(Team("T1"), "im")
    slack.clock.advance(7 * 86_400)
    assert [await probe.allowed(Team("T1"), "channel") for probe in (here, there)] == [True, True]


def test_tokens_do_not_show_when_an_install_is_printed() -> None:
    install = Install("T1", "", "xoxb-secret", refresh_token="xoxe-secret")
    assert "secret" not in repr(install)
    assert json.loads(json.dumps({"repr": repr(install)}))


async def test_bolt_does_not_bring_its_own_stores_because_of_the_environment(
    slack: SlackEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET", "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET"):
        monkeypatch.setenv(name, "from-the-environment")
    world = make_world(slack, tmp_path)
    await world.start()
    app = unwrap(world.adapter._endpoint.app)
    assert app.oauth_flow is None
    assert app.installation_store is None
    await world.stop()


async def test_a_command_where_the_app_is_not_installed_is_answered_in_our_words(many: World) -> None:
    await many.slack.member.command(text="help")
    told = await many.until(lambda: [text_of(m) for m in many.slack.member.messages() if m.ephemeral_for], move=0.1)
    assert told == ["I am not installed in this workspace any more. A workspace admin can add me again."]
