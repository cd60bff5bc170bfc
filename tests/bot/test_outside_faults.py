"""What a member reads when fal misbehaves: through the page's API, with the whole bot and short pauses."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from bot.app import App
from bot.settings import load
from tests.bot.process_kit import UNLIMITED, Client, accepted, client_of
from tests.emulators.fal import BlackImage, DropAfter, DropBefore, FalEmulator, Respond
from tests.fakes.clock import ShiftedClock

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Scene:
    """One bot, one fal, and a new number for every job."""

    fal: FalEmulator
    client: Client
    number: int = 0

    async def job(self) -> dict[str, Any]:
        """Run a new job to its end."""
        self.number += 1
        await self.client.post(self.number)
        return (await self.client.finished([self.number]))[0]

    def explained(self, job: dict[str, Any], code: str, *words: str) -> None:
        """Check the error, its sentences and reference, and that fal accepted the job at most once."""
        error = job["error"]
        assert error["code"] == code
        for word in words:
            assert word in error["message"]
        assert error["charged"]
        assert error["reference"] == job["job_id"]
        assert accepted(self.fal)[self.number] <= 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    env = {**UNLIMITED, "DATA_DIR": str(tmp_path_factory.mktemp("outside") / "data"), "WEB_PORT": "0"}
    with pytest.MonkeyPatch.context() as patch, capture_logs() as events:
        async with FalEmulator() as fal:
            for name, value in (env | fal.env()).items():
                patch.setenv(name, value)
            async with App(load(None), clock=ShiftedClock(nap_s=0.05)) as app, client_of(app.http) as client:
                yield Scene(fal, client)
    assert [event for event in events if event["log_level"] in {"error", "critical"}] == []


async def test_a_blanked_picture_is_told_as_a_refusal_with_what_it_cost(scene: Scene) -> None:
    scene.fal.outcomes.append(BlackImage())
    scene.explained(await scene.job(), "content_rejected", "safety check", "Charged $0.10.")


async def test_a_success_without_a_picture_is_not_called_free(scene: Scene) -> None:
    scene.fal.faults.add("result", Respond(200, json={"seed": 1}), times=50)
    job = await scene.job()
    scene.fal.faults.clear()
    scene.explained(job, "model_failed", "no image", "may still be billed")
    assert job["receipt"]["basis"] == "unknown"


async def test_a_result_garbled_on_its_way_is_read_again(scene: Scene) -> None:
    scene.fal.faults.add("result", Respond(200, text="{garbled"), times=2)
    assert (await scene.job())["state"] == "succeeded"


@pytest.mark.parametrize("lost", [DropBefore(), DropAfter()])
async def test_where_no_request_can_be_searched_for_a_lost_answer_ends_soon_and_uncharged(
    scene: Scene, lost: DropBefore | DropAfter
) -> None:
    scene.fal.faults.add("submit", lost)
    scene.fal.faults.add("by_endpoint", Respond(403, json={"error": {"type": "authorization_error"}}), times=99)
    submits = len(scene.fal.submits)
    job = await scene.job()
    scene.fal.faults.clear()
    scene.explained(job, "submit_unknown", "Not charged.")
    assert len(scene.fal.submits) == submits + 1


@pytest.mark.parametrize("odd", ["a/b c", "_1~", "ü+="])
async def test_an_odd_request_id_loses_nothing(scene: Scene, odd: str) -> None:
    scene.fal.request_ids.append(odd)
    assert (await scene.job())["state"] == "succeeded"
