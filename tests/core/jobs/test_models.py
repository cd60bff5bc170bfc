"""Models, wanted sizes, previews, and what is offered instead where a job is refused or dear."""

import asyncio
import dataclasses
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from core.budgets.reports import UsageFilter
from core.domain.errors import (
    InvalidParameters,
    JobNotFound,
    LimitReached,
    NotAllowed,
    OutputTooLarge,
    TargetUnreachable,
)
from core.domain.job import Job, JobState, Source
from core.domain.limits import Rule, ScopeKind
from core.domain.models import MODELS
from core.domain.variations import Change
from core.presentation import explain
from core.presentation.cards.job import failed
from core.presentation.texts.result_texts import alt_text
from core.storage.ledger.usage import SqlUsage
from tests.core.jobs.pipeline_kit import MOD, PRICE, World, world
from tests.core.storage.ledger_kit import day_usd, default_money
from tests.fakes.images import fake_picture
from tests.typed import unwrap

USD = 10**9


async def press(w: World, job: Job, change: Change) -> Job:
    made = await w.service.repeat(job.id, job.requester, change, key=f"press:{change}", reply=job.reply)
    await w.drive()
    return await w.job(made.id)


def sent(w: World, job: Job) -> dict[str, object]:
    return dict(w.upscaler.of(job.id).inputs.values)


async def test_another_model_gets_its_own_inputs_and_works_without_caption(w: World) -> None:
    job = await w.done(text="model=seedvr2 3x", fields={"seed": 7})
    assert {name: value for name, value in sent(w, job).items() if name != "image_url"} == {
        "upscale_factor": 3.0,
        "seed": 7,
        "upscale_mode": "factor",
        "output_format": "png",
    }
    assert (job.parameters.model, unwrap(job.result).caption) == ("seedvr2", "")
    assert unwrap(job.receipt).estimate_nanousd == 3_000_000


async def test_usage_is_told_by_model(w: World) -> None:
    await w.done(text="model=seedvr2")
    await w.done(text="model=flux")
    rows = await SqlUsage(w.ledger.database).by_model(UsageFilter(date(2000, 1, 1), date(2100, 1, 1)))
    assert [(row.key, row.charged_nanousd, row.jobs) for row in rows] == [
        ("flux", USD // 10, 1),
        ("seedvr2", USD // 1000, 1),
    ]


async def test_the_same_picture_with_another_model_is_no_repeat(w: World) -> None:
    source = w.upload()
    first = await w.done(text="model=seedvr2", source=source)
    again = await w.done(text="model=seedvr2", source=source)
    other = await w.done(text="model=flux", source=source)
    assert [job.receipt.basis for job in (first, again, other) if job.receipt] == ["units", "repeat", "units"]


async def test_an_input_that_the_model_lacks_starts_nothing(w: World) -> None:
    with pytest.raises(InvalidParameters):
        await w.ask(text="model=seedvr2 creativity=0.4")
    assert not w.upscaler.taken


async def test_a_wanted_size_is_reached_exactly_and_the_models_own_picture_is_paid(w: World) -> None:
    w.upscaler.units, w.upscaler.result_size = None, (1622, 1082)
    job = await w.done(text="1620x1080")
    assert job.quote
    assert (job.quote.out_width_px, job.quote.out_height_px, job.parameters.factor) == (1620, 1080, 2.7)
    assert job.result
    assert (job.result.width_px, job.result.height_px, job.result.notes) == (1620, 1080, ())
    assert unwrap(job.receipt).charged_nanousd == USD // 5


async def test_a_print_size_writes_its_density(w: World) -> None:
    w.upscaler.result_size = (1240, 827)
    job = await w.done(text="a6@200dpi")
    assert job.result
    assert (job.result.width_px, job.result.height_px) == (1165, 777)
    assert b"dpi=(200, 200)" in w.ctx.files.absolute(job.result.path).read_bytes()


async def test_a_result_smaller_than_the_size_wanted_is_told(w: World) -> None:
    w.upscaler.result_size = (1616, 1076)
    job = await w.done(text="1620x1080")
    assert job.result
    assert (job.result.width_px, job.result.notes) == (1616, ("other_size",))


@pytest.mark.parametrize(
    ("text", "reason"), [("400x400", "already_larger"), ("8k", "beyond_model"), ("max=$0.01", "amount")]
)
async def test_a_size_that_cannot_be_is_answered_before_anything_is_paid(w: World, text: str, reason: str) -> None:
    job = await w.ask(text=text)
    job = await w.driven(job.id)
    assert isinstance(job.error, TargetUnreachable)
    assert (job.state, job.error.reason) == (JobState.REFUSED, reason)
    assert not w.upscaler.taken


async def test_the_most_to_spend_is_never_passed(w: World) -> None:
    job = await w.done(text="max=$0.30")
    assert job.quote
    assert (job.quote.megapixels, job.quote.estimate_nanousd, job.parameters.factor) == (3, 3 * USD // 10, 3.53)


async def dear(w: World) -> Job:
    job = await w.ask(source=w.upload(4000, 3000), text="creativity=0.5", fields={"seed": 7})
    await w.drive()
    return await w.job(job.id)


async def test_a_dear_picture_is_offered_with_the_cheaper_model_which_closes_the_question(w: World) -> None:
    asked = await dear(w)
    assert unwrap(asked.quote).others == (("seedvr2", 48_000_000),)
    made = await press(w, asked, Change.of("model", "seedvr2"))
    assert (made.state, made.parameters.model, made.parameters.seed) == (JobState.SUCCEEDED, "seedvr2", 7)
    closed = await w.job(asked.id)
    assert (closed.state, str(closed.error)) == (JobState.CANCELLED, "other_model_chosen")
    assert [request.job_id for request in w.upscaler.taken.values()] == [made.id]


async def test_nobody_else_answers_the_question_and_is_left_with_a_job_that_runs_later(w: World) -> None:
    asked = await dear(w)
    for change in (Change.of("model", "seedvr2"), Change.of("preview")):
        for other in (MOD, dataclasses.replace(asked.requester, user_id="u2")):
            with pytest.raises(NotAllowed):
                await w.service.repeat(asked.id, other, change, key=f"{other.user_id}{change}", reply=asked.reply)
    assert [job.id for job in await w.store.history(None, limit=9)] == [asked.id]
    assert (await w.job(asked.id)).state is JobState.AWAITING_CONFIRMATION


async def test_a_question_that_ends_while_it_is_answered_with_another_model_stops_nothing(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, cancel = await dear(w), w.service.cancel

    async def ended_first(*args: Any, **more: Any) -> Job:
        await cancel(asked.id, asked.requester)
        return await cancel(*args, **more)

    monkeypatch.setattr(w.service, "cancel", ended_first)
    assert (await press(w, asked, Change.of("model", "seedvr2"))).state is JobState.SUCCEEDED


async def test_a_preview_is_a_paid_job_of_a_part_with_the_whole_under_it(w: World) -> None:
    asked = await dear(w)
    assert unwrap(asked.quote).preview_nanousd == USD // 10
    part = await press(w, asked, Change.of("preview"))
    assert (part.state, unwrap(part.input).width_px, part.parameters.factor) == (JobState.SUCCEEDED, 500, 2.0)
    assert part.quote
    assert (part.quote.estimate_nanousd, part.quote.whole_nanousd) == (USD // 10, 48 * PRICE)
    bolder = await press(w, part, Change.of("more_creative"))
    assert (bolder.parameters.creativity, unwrap(bolder.quote).whole_nanousd) == (0.7, 48 * PRICE)
    whole = await press(w, bolder, Change.of("whole"))
    assert (whole.state, unwrap(whole.input).width_px, whole.parameters.creativity) == (JobState.SUCCEEDED, 4000, 0.7)
    closed = await w.job(asked.id)
    assert (closed.state, str(closed.error)) == (JobState.CANCELLED, "other_model_chosen")
    assert failed(closed, explain(unwrap(closed.error), "en"), "en").title == "Whole picture"


async def test_the_whole_made_for_somebody_else_leaves_the_question_open(w: World) -> None:
    asked = await dear(w)
    part = await press(w, asked, Change.of("preview"))
    other = dataclasses.replace(asked.requester, user_id="u2")
    made = await w.service.repeat(part.id, other, Change.of("whole"), key="other", reply=asked.reply)
    assert (made.requester, (await w.job(asked.id)).state) == (other, JobState.AWAITING_CONFIRMATION)


async def test_a_model_that_is_offered_no_more_gives_way_to_the_default(w: World) -> None:
    job = await w.done(text="model=seedvr2 3x")
    w.put(models=MODELS.offered(["flux"]))
    again = await press(w, job, Change.of("again"))
    assert (again.parameters.model, again.parameters.factor) == ("flux", 3.0)


def test_what_no_button_asks_for_is_no_change() -> None:
    assert Change.of("factor", "1.5") == Change("factor", 1.5)
    with pytest.raises(ValueError, match="explode"):
        Change.of("explode")
    with pytest.raises(JobNotFound):
        Change.of("factor", "x")


async def test_a_model_without_a_caption_is_described_by_name_and_factor(w: World) -> None:
    job = await w.done(text="model=seedvr2 2x", source=dataclasses.replace(w.upload(), name="cat.png"))
    assert alt_text(job, "en", max_chars=100) == "cat.png, enlarged 2×"


async def test_finish_times_are_learned_by_model(w: World) -> None:
    times = w.ctx.finish_times
    await times.learn(10, 5.0, "seedvr2")
    await times.learn(10, 50.0)
    assert (times.expected_s(20, model="seedvr2"), times.expected_s(20)) == (10.0, 100.0)


async def test_an_estimate_beforehand_knows_the_size_wanted(w: World) -> None:
    quote = await w.service.estimate(600, 400, w.request().requester, text="1620x1080")
    assert (quote.out_width_px, quote.out_height_px, quote.megapixels) == (1620, 1080, 2)
    with pytest.raises(TargetUnreachable):
        await w.service.estimate(600, 400, w.request().requester, text="8k")


async def refused(w: World, width_px: int, height_px: int, text: str) -> Job:
    job = await w.done(source=w.upload(width_px, height_px), text=text)
    assert job.state is JobState.REFUSED
    return job


async def test_a_full_budget_offers_the_model_that_still_fits_with_its_price(tmp_path: Path) -> None:
    async with world(tmp_path, None, day_usd(ScopeKind.USER, 0.25)) as w:
        job = await refused(w, 4000, 3000, "2x")
        assert isinstance(job.error, LimitReached)
        assert job.error.others == (("seedvr2", 48_000_000),)
        assert [offer.label for offer in explain(job.error, "en").offers] == ["Faithful $0.05"]
        made = await w.service.repeat(job.id, job.requester, Change.of("model", "seedvr2"), key="p", reply=job.reply)
        await w.drive()
        assert (await w.job(made.id)).state is JobState.SUCCEEDED


@pytest.mark.parametrize(("sponsor_usd", "own_usd", "factor"), [(0.2, 1.0, 3.16), (1.0, 0.2, 3.16), (0.2, 0.05, 1.41)])
async def test_a_sponsor_that_cannot_pay_refuses_in_the_name_of_ones_own_limit_and_offers_the_larger_rest(
    sponsor_usd: float, own_usd: float, factor: float, tmp_path: Path
) -> None:
    async with world(tmp_path, None, default_money(own_usd), day_usd(ScopeKind.WORKSPACE, 2.0)) as w:
        await w.service.limits.sponsor(MOD, "c1", round(sponsor_usd * USD), 7)
        job = await refused(w, 1000, 1000, "4x")
        assert job.confirm_by_at is None
        assert isinstance(job.error, LimitReached)
        assert job.error.status.limit.source != "sponsor"
        assert job.error.largest_factor == factor


async def test_a_full_budget_offers_no_model_that_it_does_not_pay_for_either(tmp_path: Path) -> None:
    async with world(tmp_path, None, day_usd(ScopeKind.USER, 0.04)) as w:
        job = await refused(w, 4000, 3000, "2x")
        assert isinstance(job.error, LimitReached)
        assert job.error.others == ()


@pytest.mark.parametrize(
    ("rules", "size", "text", "factor"),
    [
        ([day_usd(ScopeKind.USER, 5.0)], (8064, 6048), "2x", 1.01),
        ([day_usd(ScopeKind.USER, 5.0)], (8064, 6048), "model=seedvr2 4x", 1.43),
        ([], (1500, 1000), "model=seedvr2 9x", 8.16),
    ],
    ids=["within the budget", "within the budget for its model", "as far as its model goes"],
)
async def test_a_picture_too_large_is_offered_all_that_its_model_makes_and_the_budget_pays(
    rules: list[Rule], size: tuple[int, int], text: str, factor: float, tmp_path: Path
) -> None:
    async with world(tmp_path, None, *rules) as w:
        job = await refused(w, *size, text)
        assert isinstance(job.error, OutputTooLarge)
        assert job.error.largest_factor == factor


@pytest.mark.parametrize(("usd", "factor", "model"), [(0.25, 1.58, "seedvr2"), (0.001, None, "")])
async def test_a_size_beyond_the_model_is_offered_within_the_budget(
    usd: float, factor: float | None, model: str, tmp_path: Path
) -> None:
    async with world(tmp_path, None, day_usd(ScopeKind.USER, usd)) as w:
        job = await refused(w, 1000, 800, "to=8k")
        assert isinstance(job.error, TargetUnreachable)
        assert (job.error.largest_factor, job.error.other_model) == (factor, model)


async def test_two_jobs_that_are_made_at_once_of_a_job_without_its_image_download_it_once(w: World) -> None:
    w.sources.pages["https://example.org/a.png"] = fake_picture(4000, 3000)
    job = await w.done(source=Source("link", url="https://example.org/a.png"))
    await w.service.cancel(job.id, job.requester)
    await w.drive()  # the image of an unpaid job goes at once
    faithful = Change.of("model", "seedvr2")
    made = [await w.service.repeat(job.id, job.requester, faithful, key=key, reply=job.reply) for key in "pq"]
    await asyncio.gather(*(w.run_part(f"{one.id}:request") for one in made))
    await w.drive()
    assert [(await w.job(one.id)).state for one in made] == [JobState.SUCCEEDED] * 2
    assert len(w.sources.fetched) == 2
