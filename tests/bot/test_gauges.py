"""A job sets every metric that the alerts use."""

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.observability import gauges as module
from bot.observability.gauges import Gauges
from bot.observability.metrics import PrometheusMetrics
from core.domain.job import JobState
from core.engine.replicas import Replicas
from tests.core.jobs.pipeline_kit import World, world


@pytest.fixture
async def w(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def sample(metrics: PrometheusMetrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


async def test_money_that_is_held_charged_and_given_back_is_counted(w: World) -> None:
    metrics = PrometheusMetrics("1")
    w.put(metrics=metrics)
    done = await w.done()
    assert done.state is JobState.SUCCEEDED
    assert sample(metrics, "upscale_usd_total", kind="held") == pytest.approx(0.1)
    assert sample(metrics, "upscale_usd_total", kind="charged") == pytest.approx(0.1)
    cancelled = await w.ask_until("submit")
    await w.ctx.store.update(cancelled.id, cancel_requested_by="fake:ann")
    await w.drive()
    assert (await w.job(cancelled.id)).state is JobState.CANCELLED
    assert sample(metrics, "upscale_usd_total", kind="released") == pytest.approx(0.1)


async def test_a_look_sets_what_waits_what_is_spent_and_what_is_left(w: World, tmp_path: Path) -> None:
    metrics = PrometheusMetrics("1")
    await w.ask()
    ctx = dataclasses.replace(w.ctx, metrics=metrics)
    await Gauges(ctx, tmp_path, Replicas(w.database)).measure()
    assert sample(metrics, "upscale_jobs_waiting") == 1.0
    assert sample(metrics, "upscale_jobs_running") == 0.0
    assert sample(metrics, "upscale_processes_running_jobs") == 1.0
    assert sample(metrics, "upscale_disk_free_bytes") > 0.0
    assert sample(metrics, "upscale_provider_halted") == 0.0


def test_the_first_charge_is_an_increase_from_nought() -> None:
    metrics = PrometheusMetrics("1")
    assert metrics.registry.get_sample_value("upscale_usd_total", {"kind": "charged"}) == 0.0


async def test_the_loops_lag_is_measured(w: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LAG_PROBE_S", 0.01)
    monkeypatch.setattr(module, "_INTERVAL_S", 0.02)
    metrics = PrometheusMetrics("1")
    await Gauges(dataclasses.replace(w.ctx, metrics=metrics), tmp_path, Replicas(w.database)).measure_lag()
    assert 0.0 <= sample(metrics, "upscale_event_loop_lag_seconds") < 60.0
