"""Alerts, dashboard and documents name only metrics that exist, and every metric has a place on the dashboard."""

import re
from pathlib import Path

import pytest

from bot.observability.metrics import LEVELS, PrometheusMetrics

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
