"""Default values of a workspace or channel, for members without their own."""

import dataclasses

import pytest

from core.domain.errors import InvalidParameters, NotAllowed
from core.domain.job import Requester
from tests.core.jobs.pipeline_kit import ANN, MOD, World

THERE = dataclasses.replace(ANN, channel_id="c2")


async def made(w: World, who: Requester = ANN, text: str = "") -> tuple[float, float | None]:
    parameters = (await w.ask(requester=who, text=text)).parameters
    return parameters.factor, parameters.creativity


async def test_a_channels_values_win_over_the_servers_and_the_members_own_over_both(w: World) -> None:
    usual = await made(w)
    assert await w.members.replace_place_presets(MOD, "3x creativity=0.8", "") == ("", "factor=3 creativity=0.8")
    await w.members.replace_place_presets(MOD, "creativity=0.1", "c2")
    assert await made(w) == (3.0, 0.8)
    assert await made(w, THERE) == (3.0, 0.1)
    assert await made(w, THERE, "2x") == (2.0, 0.1)
    thread = dataclasses.replace(THERE, channel_id="t9", parent_channel_id="c2")
    assert await made(w, thread) == (3.0, 0.1)
    await w.members.replace_place_presets(MOD, "creativity=0.9", "t9")
    assert await made(w, thread) == (3.0, 0.9)
    await w.service.accounts.set_defaults(ANN, "preset=faithful")
    factor, creativity = await made(w, THERE)
    assert (factor, creativity) == (3.0, (await made(w, THERE, "preset=faithful"))[1])
    assert await made(w, dataclasses.replace(ANN, user_id="eve", workspace_id="w2")) == usual
    assert await made(w, dataclasses.replace(ANN, user_id="eve", workspace_id="")) == usual
    for channel in ("", "c2"):
        await w.members.replace_place_presets(MOD, "off", channel)
    assert await made(w, dataclasses.replace(THERE, user_id="eve")) == usual


async def test_only_moderators_choose_them_and_only_what_would_be_accepted(w: World) -> None:
    with pytest.raises(NotAllowed):
        await w.service.accounts.set_place_presets(ANN, "3x")
    with pytest.raises(InvalidParameters):
        await w.members.replace_place_presets(MOD, "factor=9", "")


async def test_to_look_at_them_changes_nothing(w: World) -> None:
    accounts, limits = w.service.accounts, w.service.limits
    set_, changes = await accounts.set_place_presets(MOD, "3x"), await limits.limit_history(MOD)
    assert await accounts.set_place_presets(MOD, " ") == set_
    assert await limits.limit_history(MOD) == changes
    assert await accounts.set_place_presets(MOD, "OFF") != set_
    assert await limits.limit_history(MOD) != changes
    assert (await made(w))[0] == 2.0
