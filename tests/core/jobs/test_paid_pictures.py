"""A result that was paid for arrives: the pipeline against the fal emulator with every fault."""

import dataclasses
import errno
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import pyvips

from core.domain.errors import ContentRejected, ModelFailed, StorageFull
from core.domain.job import Job, JobState, ResultNote, Source
from core.domain.similarity import Similarity
from core.images.pool import NoWorker, WorkerFault
from core.images.service import ImageService
from core.jobs.steps import collect
from core.presentation.texts.result_texts import notes_text, reached_factor
from core.upscalers.fal import FalUpscaler
from tests.core.jobs.pipeline_kit import PRICE, World, world
from tests.core.upscalers.fal_kit import config_for
from tests.emulators.fal import (
    BlackImage,
    DropAfter,
    DropBefore,
    FalEmulator,
    OddImage,
    Respond,
    Truncate,
    json_5xx,
    nginx,
    too_many,
)
from tests.emulators.fal.faults import FaultKind
from tests.emulators.fal.outcomes import Outcome
from tests.fakes import cards
from tests.typed import unwrap

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = Respond(200, text="<!doctype html><title>Back soon</title>", headers={"Content-Type": "text/html"})


@dataclass
class Scene:
    """A pipeline with the fal emulator as its model, real images, and a clock that only sleeping moves."""

    w: World
    fal: FalEmulator

    async def done(self, path: Path) -> Job:
        """Run a job with a small image and factor 2."""
        upload = self.w.folder / "uploads" / "in.png"
        upload.parent.mkdir(exist_ok=True)
        upload.write_bytes(path.read_bytes())
        return await self.w.done(source=Source("upload", path="uploads/in.png"))

    async def check(self, job: Job, state: JobState, charged: int) -> None:
        """One submit, one charge, nothing held."""
        assert job.state is state, f"{job.state} {job.error!r}"
        assert len(self.fal.submits) == 1
        money = await self.w.money(job.id)
        assert (money.charged, money.settlements, money.open_holds) == (charged, 1, 0)
        assert unwrap(job.receipt).charged_nanousd == charged
        assert self.fal.violations == []


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    band = pyvips.Image.gaussnoise(96, 64, mean=128, sigma=50).cast("uchar")
    band.bandjoin([band.rot180(), band.fliphor()]).copy(interpretation="srgb").pngsave(str(path))
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def image_service() -> AsyncIterator[ImageService]:
    async with ImageService(workers=1) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def scene(tmp_path: Path, image_service: ImageService) -> AsyncIterator[Scene]:
    async with FalEmulator(job_s=0.01, steps_logged=1) as fal, world(tmp_path) as w:
        upscaler = FalUpscaler(config_for(fal), w.clock)
        await upscaler.start()
        w.real_images, w.upscaler = image_service, upscaler  # type: ignore[assignment]
        await w.close()
        await w.open()
        yield Scene(w, fal)
        await upscaler.close()


FAULTS: dict[str, tuple[str, FaultKind, int]] = {
    "upload token 500": ("token", json_5xx(500), 3),
    "upload refused": ("upload", nginx(502), 4),
    "result 403": ("result", Respond(403, json={"detail": "Forbidden"}), 30),
    "result 404": ("result", Respond(404, json={"status": "NOT_FOUND"}), 30),
    "result page": ("result", PAGE, 30),
    "result cut": ("result", Respond(200, text='{"image": {"url": "https://v3.fal'), 30),
    "result empty": ("result", Respond(200, text=""), 30),
    "result 500": ("result", json_5xx(500), 30),
    "result 502 with JSON": ("result", json_5xx(502), 30),
    "result 429": ("result", too_many("20"), 30),
    "result key refused": ("result", Respond(401, json={"detail": "No user found for Key ID and Secret"}), 30),
    "result locked": ("result", Respond(403, json={"detail": "User is locked. Reason: Exhausted balance."}), 30),
    "result dropped": ("result", DropAfter(), 90),
    "status 404": ("status", Respond(404, json={"status": "NOT_FOUND"}), 3),
    "stream dropped": ("stream", DropBefore(), 9),
    "file 403": ("download", Respond(403, text="denied"), 40),
    "file 404": ("download", Respond(404, json={"detail": "Not Found"}), 40),
    "file 410": ("download", Respond(410), 40),
    "file 500": ("download", nginx(500), 40),
    "file page": ("download", PAGE, 40),
    "file half": ("download", Truncate(2000), 40),
    "file empty": ("download", Respond(200, text=""), 4),
    "file short": ("download", Respond(200, text="\x89PNG"), 4),
    "file redirected inwards": ("download", Respond(302, headers={"Location": "http://10.0.0.1/"}), 40),
    "upload token page": ("token", PAGE, 3),
    "status page": ("status", PAGE, 9),
    "status cut": ("status", Respond(200, text='{"status": "IN_PRO'), 9),
    "status 500": ("status", json_5xx(500), 9),
    "stream page": ("stream", PAGE, 9),
    "result without a picture": ("result", Respond(200, json={"seed": 1}), 4),
    "result list": ("result", Respond(200, json=[]), 30),
    "file 416": ("download", Respond(416), 40),
    "file 503 with a pause": ("download", Respond(503, headers={"Retry-After": "20"}), 40),
    "file redirected to a file": ("download", Respond(302, headers={"Location": "file:///etc/passwd"}), 40),
    "file redirected nowhere": ("download", Respond(302), 40),
    "file a document": ("download", Respond(200, text="%PDF-1.4"), 4),
    "file dropped": ("download", DropBefore(), 40),
    "file of another, far larger": ("download", Respond(200, text="x" * 20_000_000), 1),
    "result far too large": ("result", Respond(200, json={"padding": "x" * 20_000_000}), 1),
    "result 500 of the store": ("result", Respond(500, json={"detail": "x", "error_type": "internal_error"}), 3),
    "result 504 by name": ("result", Respond(504, json={"detail": [{"type": "generation_timeout", "msg": "x"}]}), 3),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_after_a_fault_of_fals_the_picture_arrives_for_one_charge(scene: Scene, photo: Path, name: str) -> None:
    route, fault, times = FAULTS[name]
    # The input is read from the same place by the emulated runner, once.
    scene.fal.faults.add(route, fault, times=times, skip=1 if route == "download" else 0)
    job = await scene.done(photo)
    await scene.check(job, JobState.SUCCEEDED, PRICE)
    assert job.result
    assert (job.result.width_px, job.result.height_px) == (192, 128)
    assert scene.w.upscaler.halted is None
    told = any(p.awaits is not None for p in scene.w.adapter.message(job).progress)
    assert told or times < 30, "a wait of more than 30 s is told"


async def test_a_result_within_a_data_uri_arrives_and_is_not_kept_on_the_row(scene: Scene, photo: Path) -> None:
    scene.fal.data_uris = True
    job = await scene.done(photo)
    await scene.check(job, JobState.SUCCEEDED, PRICE)
    assert unwrap(job.remote).image_url == ""
    assert unwrap(job.result).link is None


async def test_a_file_that_stays_empty_is_the_models_fault_and_was_billed(scene: Scene, photo: Path) -> None:
    scene.fal.faults.add("download", Respond(200, text=""), times=999, skip=1)
    job = await scene.done(photo)
    await scene.check(job, JobState.FAILED, PRICE)
    assert isinstance(job.error, ModelFailed)
    assert "no image" in scene.w.adapter.message(job).notice.what
    assert "not charged" not in scene.w.adapter.message(job).notice.charged.lower()


async def test_a_refused_content_is_that_jobs_own(scene: Scene, photo: Path) -> None:
    scene.fal.faults.add("result", Respond(403, json={"detail": "Content blocked"}), times=9)
    job = await scene.done(photo)
    assert isinstance(job.error, ContentRejected)
    assert scene.w.upscaler.halted is None
    scene.fal.faults.clear()
    assert (await scene.done(photo)).state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (OddImage(size=(1, 1)), ModelFailed),
        (OddImage(grey=128), ModelFailed),
        (OddImage(grey=128, flagged=True), ContentRejected),
        (BlackImage(), ContentRejected),
    ],
)
async def test_a_placeholder_is_no_result(scene: Scene, photo: Path, outcome: Outcome, error: type[Exception]) -> None:
    scene.fal.outcomes.append(outcome)
    job = await scene.done(photo)
    await scene.check(job, JobState.FAILED, PRICE)
    assert isinstance(job.error, error)


@pytest.mark.parametrize(
    ("outcome", "notes", "factor", "words"),
    [
        (OddImage(size=(144, 96)), ("other_size",), 1.5, "144×96 instead of 192×128"),
        (OddImage(size=(96, 64)), ("other_size",), 1.0, "96×64 instead of 192×128"),
        (OddImage(flagged=True), ("flagged",), 2.0, "safety check marked"),
        (OddImage(size=(192, 127)), (), 2.0, ""),
    ],
)
async def test_a_result_that_is_not_what_was_asked_is_told(
    scene: Scene, photo: Path, outcome: Outcome, notes: tuple[ResultNote, ...], factor: float, words: str
) -> None:
    scene.fal.outcomes.append(outcome)
    job = await scene.done(photo)
    await scene.check(job, JobState.SUCCEEDED, PRICE)
    assert unwrap(job.result).notes == notes
    assert reached_factor(job) == factor
    assert words in notes_text(job, "en")


async def test_a_picture_that_comes_back_untouched_is_told(scene: Scene, photo: Path) -> None:
    scene.fal.outcomes.append(OddImage(unchanged=True))
    job = await scene.done(photo)
    await scene.check(job, JobState.SUCCEEDED, PRICE)
    assert "unchanged" in unwrap(job.result).notes
    assert reached_factor(job) == 1.0


async def test_how_much_was_kept_is_measured_for_the_receipt(scene: Scene, photo: Path) -> None:
    job = await scene.done(photo)
    kept = unwrap(unwrap(job.result).similarity).percent
    assert kept >= 50  # noise, and enlarged half a pixel off
    assert f"Kept {kept}% of the structure" in notes_text(job, "en")


@pytest.mark.parametrize("call", ["strip_result", "blank", "postprocess", "similarity"])
@pytest.mark.parametrize(
    ("fault", "times"),
    [
        (WorkerFault(errno.ENOENT, "FileNotFoundError"), 3),
        (WorkerFault(0, "KeyError"), 3),
        (StorageFull(reason="disk"), 40),
        (NoWorker(errno.ENOMEM, "BlockingIOError"), 40),
    ],
)
async def test_trouble_of_this_machine_with_a_paid_picture_is_outlived(
    scene: Scene, photo: Path, monkeypatch: pytest.MonkeyPatch, call: str, fault: Exception, times: int
) -> None:
    work, left = getattr(ImageService, call), iter([fault] * times)

    async def failing(*args: object, **more: object) -> object:
        if (error := next(left, None)) is not None:
            raise error
        return await work(*args, **more)

    monkeypatch.setattr(ImageService, call, failing)
    monkeypatch.setattr(collect, "_FLAT_PX_PER_BYTE", 0)  # every file is looked at for a single colour
    job = await scene.done(photo)
    await scene.check(job, JobState.SUCCEEDED, PRICE)
    assert next(left, None) is None or call in ("postprocess", "similarity")


@pytest.mark.parametrize(("call", "step"), [("watch", "wait"), ("result", "collect"), ("fetch", "collect")])
@pytest.mark.parametrize(("times", "state"), [(2, JobState.SUCCEEDED), (3, JobState.FAILED)])
async def test_what_nobody_has_foreseen_is_tried_three_times_once_it_is_paid_for(
    scene: Scene, photo: Path, monkeypatch: pytest.MonkeyPatch, call: str, step: str, times: int, state: JobState
) -> None:
    work, left = getattr(scene.w.upscaler, call), iter([ZeroDivisionError()] * times)

    def failing(*args: object, **more: object) -> object:
        if (error := next(left, None)) is not None:
            raise error
        return work(*args, **more)

    monkeypatch.setattr(scene.w.upscaler, call, failing)
    job = await scene.done(photo)
    await scene.check(job, state, PRICE)
    if state is JobState.FAILED:
        assert ((await scene.w.store.incident(job.id)) or {})["area"] == f"step:{step}"


@pytest.mark.parametrize(
    ("similarity", "words"),
    [
        (Similarity(99, "top"), "Kept 99% of the structure."),
        (Similarity(97, "top_right"), "Kept 97% of the structure; most changed: top right."),
        (Similarity(42, None), "The model repainted much of this image.\nKept 42% of the structure."),
    ],
)
async def test_a_repainted_picture_is_a_warning(similarity: Similarity, words: str) -> None:
    job = cards.job()
    assert job.result is not None
    told = notes_text(dataclasses.replace(job, result=dataclasses.replace(job.result, similarity=similarity)), "en")
    assert told.endswith(words)
