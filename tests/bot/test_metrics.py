"""Metrics: a job sets those that the alerts use; alerts, dashboard and documents name what exists, and all of it."""

import dataclasses
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.observability import gauges as module
from bot.observability.gauges import Gauges
from bot.observability.metrics import LEVELS, PrometheusMetrics
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


DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = re.compile(r"\bupscale_[a-z_]+")


def with_levels() -> PrometheusMetrics:
    metrics = PrometheusMetrics("1")
    for number, name in enumerate(LEVELS, 1):
        metrics.gauge(name, number)
    return metrics


def existing() -> set[str]:
    names: set[str] = set()
    for family in with_levels().registry.collect():
        if family.name.startswith("upscale_"):
            names |= {family.name, *(f"{family.name}_{end}" for end in ("total", "bucket", "sum", "count"))}
    return names


@pytest.mark.parametrize("file", ["alerts.yml", "grafana.json", "README.md", "../docs/watching.md"])
def test_only_metrics_that_exist_are_named(file: str) -> None:
    assert set(NAME.findall((DEPLOY / file).read_text())) - existing() == set()


def test_every_metric_is_explained() -> None:
    text = (DEPLOY.parent / "docs" / "watching.md").read_text()
    families = {family.name for family in with_levels().registry.collect()}
    assert {name for name in families if name.startswith("upscale_") and name not in text} == set()


def test_every_metric_has_its_panel() -> None:
    shown = set(NAME.findall((DEPLOY / "grafana.json").read_text()))
    for family in with_levels().registry.collect():
        if family.name.startswith("upscale_"):
            assert any(name.startswith(family.name) for name in shown), family.name


def test_every_level_can_be_set() -> None:
    text = with_levels().render().decode()
    assert all(f"upscale_{name} {number}.0" in text for number, name in enumerate(LEVELS, 1))


def test_a_level_that_is_not_known_is_not_exported_as_nothing_left() -> None:
    """The alerts on credit and on disk space would fire for 0."""
    text = PrometheusMetrics("1").render().decode()
    assert not any(f"upscale_{name}" in text for name in LEVELS)
