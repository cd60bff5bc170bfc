"""Members' own presets: `settings save logo 4x`, then `logo`."""

import asyncio
import dataclasses
import json
import zipfile
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.accounts.settings import MAX_PRESETS, SavedSettings
from core.domain.errors import InvalidParameters, PresetRefused
from core.domain.job import ReplyAddress, Requester
from core.domain.models import MODELS
from core.domain.parameters.grammar import parse
from core.domain.parameters.ordinary_words import without_ordinary_words
from core.domain.parameters.spec import PRESETS
from core.domain.variations import Change
from core.ports import SystemClock
from core.presentation import line_text
from core.storage.encryption import Vault
from core.storage.state import SqlAppState
from tests.core.jobs.pipeline_kit import ANN, BOB, MOD, World
from tests.fakes.state import MemoryState
from tests.pg import open_database

SLACK = Requester("slack", "U1", "Ann", workspace_id="T1")


async def told(w: World, text: str, who: Requester = ANN) -> str:
    return line_text((await w.members.change_settings(who, text)).note)


async def made(w: World, text: str, who: Requester = ANN) -> tuple[float, float | None, str]:
    chosen = (await w.ask(requester=who, text=text)).parameters
    return chosen.factor, chosen.creativity, chosen.model


async def test_a_preset_is_saved_used_replaced_and_deleted(w: World) -> None:
    assert await told(w, "save logo 4x creativity=0.2 seed=7") == "Your preset logo is saved."
    job = await w.ask(text="Logo")
    assert (job.parameters.factor, job.parameters.creativity, job.parameters.seed) == (4.0, 0.2, 7)
    replaced = await told(w, "save “LOGO” 3x faithful")
    assert replaced == "Your preset logo is replaced; it was factor=4 creativity=0.2 seed=7."
    assert await made(w, "preset=logo") == (3.0, 0.1, "flux")
    assert await w.members.settings(ANN) == await w.members.change_settings(ANN, "show")
    assert await told(w, "delete Logo") == "Your preset logo is deleted."
    with pytest.raises(InvalidParameters):
        await w.ask(text="logo")


async def test_what_counts_is_explicit_then_the_preset_then_own_defaults_then_the_places(w: World) -> None:
    await w.members.replace_place_presets(MOD, "3x creativity=0.8 steps=10 guidance=2", "")
    await w.members.change_settings(ANN, "creativity=0.7 steps=11")
    await w.members.change_settings(ANN, "save logo creativity=0.2")
    chosen = (await w.ask(text="logo")).parameters
    assert (chosen.creativity, chosen.steps, chosen.factor, chosen.guidance) == (0.2, 11, 3.0, 2.0)
    assert (await w.ask(text="logo creativity=0.9")).parameters.creativity == 0.9
    assert (await w.ask(text="faithful")).parameters.creativity == 0.1
    assert (await w.service.estimate(100, 100, ANN, text="logo 4x")).out_width_px == 400


async def test_a_size_in_a_preset_and_a_factor_beside_it_take_each_others_place(w: World) -> None:
    await w.members.change_settings(ANN, "to=1080p")
    await w.members.change_settings(ANN, "save print to=4k")
    await w.members.change_settings(ANN, "save thrice 3x")
    assert (await w.ask(text="print")).parameters.to == "4k"
    assert (await w.ask(text="thrice")).parameters.to is None
    assert (await w.ask(text="print 2x")).parameters.to is None
    await w.members.change_settings(ANN, "save other print 2x")
    assert (await w.members.settings(ANN)).presets["other"] == {"factor": 2.0}


async def test_a_presets_model_counts_and_its_values_are_judged_for_the_model_that_is_used(w: World) -> None:
    await w.members.change_settings(ANN, "save big model=seedvr2 9x")
    assert await made(w, "big") == (9.0, None, "seedvr2")
    with pytest.raises(InvalidParameters) as lacking:
        await w.ask(text="big creativity=0.5")
    assert lacking.value.problems[0].kind == "not_in_model"
    with pytest.raises(InvalidParameters) as beyond:
        await w.ask(text="big model=flux")
    assert (beyond.value.problems[0].kind, beyond.value.problems[0].value) == ("range", "9")


async def test_an_earlier_job_is_repeated_as_it_was_after_its_preset_has_changed(w: World) -> None:
    await w.members.change_settings(ANN, "save logo 4x creativity=0.2")
    job = await w.done(text="logo")
    await w.members.change_settings(ANN, "delete logo")
    again = await w.service.repeat(job.id, ANN, Change("again"), key="k2", reply=ReplyAddress("fake", {"message": "2"}))
    assert (again.parameters.factor, again.parameters.creativity) == (4.0, 0.2)
    assert again.parameters.seed != job.parameters.seed


async def test_defaults_and_a_places_values_keep_what_the_preset_stood_for(w: World) -> None:
    await w.members.change_settings(MOD, "save logo 4x creativity=0.2")
    await w.members.change_settings(MOD, "logo steps=9")
    assert await w.members.defaults(MOD) == {"factor": 4.0, "creativity": 0.2, "steps": 9}
    assert await w.members.replace_place_presets(MOD, "logo", "c1") == ("", "factor=4 creativity=0.2")


async def test_nobody_else_has_it(w: World) -> None:
    await w.members.change_settings(ANN, "save logo 4x")
    with pytest.raises(InvalidParameters):
        await w.ask(requester=BOB, text="logo")
    await w.members.change_settings(SLACK, "save logo 3x")
    for other in (dataclasses.replace(SLACK, workspace_id="T2"), dataclasses.replace(SLACK, platform="discord")):
        assert (await w.members.settings(other)).presets == {}
    assert (await w.members.settings(dataclasses.replace(ANN, workspace_id="w2"))).presets != {}


async def test_it_is_exported_and_erased_and_goes_with_the_workspace(w: World) -> None:
    await w.members.change_settings(ANN, "save logo 4x")
    path = await w.members.export(ANN)
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("data.json"))["presets"] == {"logo": {"factor": 4.0}}
    await w.members.erase(ANN)
    assert (await w.members.settings(ANN)).presets == {}
    await w.members.change_settings(SLACK, "save logo 4x")
    await w.members.forget_workspace("slack", "T1")
    assert await w.state.keys("presets") == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, "preset") for name in ("faithful", "Creative", "balanced")),
        *(
            (name, "parameter")
            for name in ("factor", "scale", "cfg", "seed", "upscale", "preset", "private", "link", "to")
        ),
        *((name, "word") for name in ("a4", "on", "help", "save", "delete", "reset", "flux", "public")),
        *((name, "shape") for name in ("my logo", "logo!", "lo=go", "4you", "x" * 33, "logo-", "💜")),
    ],
)
async def test_a_name_that_means_something_else_is_refused_with_the_reason(w: World, name: str, reason: str) -> None:
    with pytest.raises(PresetRefused) as refused:
        await w.members.save_preset(ANN, name, "4x")
    assert refused.value.reason == reason
    assert (await w.members.settings(ANN)).presets == {}


@pytest.mark.parametrize("text", ["save creative 4x", "save factor 3", 'save "my logo" 4x', "save logo! 4x"])
async def test_typed_after_save_it_is_refused_just_so(w: World, text: str) -> None:
    with pytest.raises(PresetRefused):
        await w.members.change_settings(ANN, text)


@pytest.mark.parametrize("text", ["save 3x", "set 3x", "3x", "save factor=3", "factor = 3", "save x3", "set factor 3"])
async def test_values_without_a_name_are_the_defaults(w: World, text: str) -> None:
    assert (await w.members.change_settings(ANN, text)).defaults == {"factor": 3.0}
    for nothing in ("", "show", "save", " "):
        assert (await w.members.change_settings(ANN, nothing)).defaults == {"factor": 3.0}
    assert (await w.members.change_settings(ANN, "Reset")).defaults == {}


async def test_values_are_judged_and_what_belongs_to_one_image_is_not_kept(w: World) -> None:
    for text in ("save logo 9x", "save logo creativity=0.5 model=seedvr2", "save logo", "save logo banana", "delete"):
        with pytest.raises(InvalidParameters):
            await w.members.change_settings(ANN, text)
    for text in ("save logo 2x private", "save logo 2x https://example.org/a.png", "delete logo", "clear logo"):
        with pytest.raises(PresetRefused):
            await w.members.change_settings(ANN, text)
    for text in ("2x private", "2x https://example.org/a.png", "2x seed=7"):
        with pytest.raises(PresetRefused):
            await w.members.change_settings(ANN, text)
        with pytest.raises(PresetRefused):
            await w.members.replace_place_presets(MOD, text, "")
    assert (await w.members.settings(ANN)).presets == {}
    assert (await w.members.settings(ANN)).defaults == {}


async def test_presets_that_two_processes_save_at_once_are_all_kept(any_database_url: str) -> None:
    async with AsyncExitStack() as opened:
        processes = []
        for _ in range(2):
            database = await open_database(any_database_url)
            opened.push_async_callback(database.close)
            state = SqlAppState(database, Vault("k" * 32), SystemClock())
            processes.append(SavedSettings(state, MODELS))
        saves = (processes[n % 2].save_preset(ANN, f"p{n}", "2x") for n in range(MAX_PRESETS + 4))
        ended = await asyncio.gather(*saves, return_exceptions=True)
        refused = [one.reason for one in ended if isinstance(one, PresetRefused)]
        assert refused == ["too_many"] * 4
        kept = [name for name in await processes[0].presets(ANN) if name not in PRESETS]
        assert len(kept) == MAX_PRESETS
        await asyncio.gather(*(processes[n % 2].delete_preset(ANN, name) for n, name in enumerate(kept)))
        assert dict(await processes[1].presets(ANN)) == dict(PRESETS)


async def test_there_is_a_most_and_replacing_one_is_always_possible(w: World) -> None:
    await asyncio.gather(*(w.members.save_preset(ANN, f"p{n}", "2x") for n in range(MAX_PRESETS)))
    with pytest.raises(PresetRefused) as full:
        await w.members.save_preset(ANN, "more", "2x")
    assert (full.value.reason, len(full.value.names)) == ("too_many", MAX_PRESETS)
    await w.members.save_preset(ANN, "p0", "3x")
    assert (await w.members.settings(ANN)).presets["p0"] == {"factor": 3.0}


async def test_a_slip_in_its_name_is_a_mistake_that_names_it(w: World) -> None:
    await w.members.change_settings(ANN, "save logo 4x")
    said = without_ordinary_words("please make our lgo big, logo thanks", await w.members.presets(ANN))
    assert said == "lgo logo"
    with pytest.raises(InvalidParameters) as slip:
        await w.ask(text="lgo")
    assert slip.value.problems[0].suggestion == "logo"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=36) | st.from_regex(r"[a-z0-9_-]{1,8}", fullmatch=True))
def test_whatever_name_is_taken_is_understood_wherever_it_is_said(name: str) -> None:
    async def saved() -> str | None:
        members = SavedSettings(MemoryState(), MODELS)
        try:
            await members.save_preset(SLACK, name, "4x")
        except PresetRefused:
            return None
        return next(iter((await members.settings(SLACK)).presets))

    if (kept := asyncio.run(saved())) is not None:
        presets = {kept: {"factor": 4.0}}
        assert parse(without_ordinary_words(f"{kept}, please", presets), presets=presets).preset == kept
        assert parse(f"creativity=0.5 {kept} private", presets=presets).preset == kept
