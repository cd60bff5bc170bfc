"""Every documented error code of the methods that post and upload: the job ends in words, and the charge is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.adapters.slack.conftest import World
from tests.emulators.slack import text_of
from tests.emulators.slack.wire import known_errors

REVOKED = {"account_inactive", "token_revoked", "invalid_auth", "not_authed", "team_access_not_granted",
           "token_expired", "app_uninstalled"}  # fmt: skip
"""Nobody can be told anything any more; `test_workspaces` has them."""
STAGES = ("files.getUploadURLExternal", "files.completeUploadExternal")
CHARGED_NANOUSD = 400_000_000


def test_the_lists_of_codes_are_there() -> None:
    assert len(known_errors("chat.postMessage")) > 40
    methods = json.loads((Path(__file__).parents[2] / "emulators" / "slack" / "methods.json").read_text())["methods"]
    assert {"chat.update", "chat.delete", *STAGES} <= set(methods)


@pytest.mark.parametrize("method", STAGES)
async def test_whatever_refuses_an_upload_for_good_the_member_reads_where_the_picture_is(
    world: World, method: str
) -> None:
    for code in sorted(set(known_errors(method)) - REVOKED - {"ratelimited"}):
        world.slack.limits.enabled = False
        fault = world.slack.fault(method, error=code, times=99)
        before = set(world.service.rows)
        await world.slack.member.dm("", [world.picture(f"{code}.png")])
        await world.until(lambda known=before: set(world.service.rows) - known, move=0.5)
        await world.until(
            lambda known=before: all(world.service.rows[i].job.state.terminal for i in set(world.service.rows) - known),
            move=2.0,
        )
        await world.idle()
        fault.times = 0
        (job_id,) = set(world.service.rows) - before
        job = world.service.rows[job_id].job
        said = [text_of(m) for m in world.slack.member.dms() if m.bot and code in text_of(m) + m.text]
        assert job.receipt is not None, code
        assert job.receipt.charged_nanousd == CHARGED_NANOUSD, code
        assert said, (code, [text_of(m) for m in world.slack.member.dms()])
        assert not any("Upscaling" in text for text in said), (code, said)


@pytest.mark.parametrize("method", ["chat.postMessage", "chat.update", "chat.delete"])
async def test_whatever_refuses_a_message_while_the_job_runs_nothing_says_that_it_still_does(
    world: World, method: str
) -> None:
    world.slack.limits.enabled = False
    for code in sorted(set(known_errors(method)) - REVOKED - {"ratelimited", "message_not_found"}):
        before = set(world.service.rows)
        world.service.hold_at = "upscaling"
        await world.slack.member.dm("", [world.picture(f"{code}.png")])
        (row,) = [
            world.service.rows[i]
            for i in await world.until(lambda known=before: set(world.service.rows) - known, move=0.5)
        ]
        await world.until(lambda row=row: "upscaling" in row.go and (row.memo.get("root") or {}).get("ts"), move=0.5)
        fault = world.slack.fault(method, error=code, times=99)
        world.service.release("upscaling")
        await world.until(lambda row=row: row.job.state.terminal, move=2.0)
        await world.idle()
        fault.times = 0
        assert row.job.receipt is not None, code
        assert row.job.receipt.charged_nanousd == CHARGED_NANOUSD, code
        said = [text_of(m) for m in world.slack.member.dms() if m.bot and f"{code}.png" in text_of(m) + m.text]
        assert said, (code, [text_of(m) for m in world.slack.member.dms()])
        assert not any("Upscaling" in text for text in said), (code, said)
