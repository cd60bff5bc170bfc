"""Alternatives for a job that is refused or expensive: within every limit, and by cheaper models."""

from pathlib import Path

import pytest

from core.domain.errors import LimitReached, OutputTooLarge, TargetUnreachable
from core.domain.job import Job, JobState
from core.domain.limits import Rule, ScopeKind
from core.domain.variations import Change
from core.presentation import explain
from tests.core.jobs.pipeline_kit import MOD, World, world
from tests.core.storage.ledger_kit import USD, day_usd, default_money


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
