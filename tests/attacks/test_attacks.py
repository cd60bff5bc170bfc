"""Every attack of strangers and impostors in small, and members' worthless files, against a running process."""

import asyncio
from collections import Counter
from pathlib import Path
from types import ModuleType

import aiohttp
import pytest

from tests.attacks import absurd, authority, characters, restless, sockets
from tests.attacks.doors import ATTACKS as AT_THE_DOOR
from tests.attacks.elsewhere import Elsewhere
from tests.attacks.impostors import ATTACKS as BY_IMPOSTORS
from tests.attacks.members import ATTACKS as BY_MEMBERS
from tests.attacks.scene import TOKEN, Sampler, scene_in, watch
from tests.attacks.strangers import ATTACKS
from tests.bot.process_kit import Bot


async def test_nothing_that_strangers_send_leaves_a_row_or_a_traceback_or_closes_the_door(tmp_path: Path) -> None:
    async with scene_in(tmp_path, Elsewhere(), ("127.0.0.1",)) as scene:
        sampler = await Sampler.of(scene.bot.port)
        for attack in (*AT_THE_DOOR, *ATTACKS):
            if attack.short:
                seen = await watch(scene, sampler, attack, attack.short)
                lost = (seen.new_rows, seen.new_tracebacks, seen.health["failed"])
                assert lost == (Counter(), 0, 0), (attack.said, seen.happened)
        before = await asyncio.to_thread(scene.disk_bytes)
        for attack in BY_MEMBERS:
            if attack.short:
                seen = await watch(scene, sampler, attack, attack.short)
                assert (seen.new_rows["jobs"], seen.new_tracebacks, seen.health["failed"]) == (attack.short, 0, 0)
        await sampler.close()
        assert set(scene.states()) == {"succeeded", "refused"}, "every one of them has ended"
        assert await asyncio.to_thread(scene.disk_bytes) <= before, "and left nothing on the disk"
        assert (await scene.post("/api/estimate", json={"width": 64, "height": 64}))[0] == 200


async def test_presses_and_forms_that_nobody_was_offered_touch_no_job_message_file_or_money(tmp_path: Path) -> None:
    async with scene_in(tmp_path, Elsewhere(), ("127.0.0.1",)) as scene:
        for attack in BY_IMPOSTORS:
            await attack.run(scene, attack.short)
        assert (scene.tracebacks(), scene.rows()["incidents"]) == (0, 0)
        assert (scene.discord.violations, scene.slack.violations) == ([], [])


async def test_no_sponsor_stranger_or_outsider_spends_what_the_operator_did_not_allow(tmp_path: Path) -> None:
    async with scene_in(tmp_path, Elsewhere(), ("127.0.0.1",), **authority.SETTINGS) as scene:
        for attack in authority.ATTACKS:
            await attack.run(scene, attack.short)
        assert (scene.tracebacks(), scene.discord.violations, scene.slack.violations) == (0, [], [])


async def test_what_is_done_very_often_or_said_falsely_is_no_incident(tmp_path: Path) -> None:
    async with scene_in(tmp_path, Elsewhere(), ("127.0.0.1",)) as scene:
        for attack in restless.ATTACKS:
            if attack.short:
                await attack.run(scene, attack.short)
        assert (scene.tracebacks(), scene.rows()["incidents"]) == (0, 0)


@pytest.mark.parametrize("kind", [absurd, sockets])
async def test_signed_events_that_make_no_sense_are_taken_or_refused_and_end_nothing(
    tmp_path: Path, kind: ModuleType
) -> None:
    async with scene_in(tmp_path, Elsewhere(), ("127.0.0.1",), **kind.SETTINGS) as scene:
        for attack in kind.ATTACKS:
            await attack.run(scene, attack.short)
        assert (await scene.get("/healthz"), scene.rows()["jobs"] > 0) == (200, True)
        assert (scene.tracebacks(), scene.rows()["incidents"]) == (0, 0)


async def test_odd_characters_and_numbers_in_the_pages_api_are_refused_or_taken_on_every_database(
    tmp_path: Path, any_database_url: str
) -> None:
    bot = Bot(tmp_path, {"DATABASE_URL": any_database_url, "WEB_TOKEN": TOKEN, "BACKEND": "sandbox"})
    async with aiohttp.ClientSession() as web:
        try:
            await characters.everywhere(await bot.start(), web, 41)
        finally:
            await bot.close()
    assert [bot.errors(), [event for event in bot.events if "exception" in event]] == [[], []]
