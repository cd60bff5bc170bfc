"""Mistakes that only the composition root can make: a part that is made without another that it needs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.app import App
from bot.observability.operator_alerts import AlertSender
from bot.settings import load
from core.domain.errors import DeliveryUnavailable, LedgerUnavailable, ProviderHalted
from core.domain.identity import Place
from core.domain.job import Requester
from core.ports import PlaceFacts
from core.presentation import Notice
from core.storage.migrate import migrate


class OwnersPlatform:
    """A platform that knows its owner, and records messages."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, str]] = []

    async def notify(self, workspace_id: str, channel_id: str, notice: Notice) -> None:
        self.posted.append((channel_id, notice.what))

    async def place_facts(self, place: Place) -> PlaceFacts:
        return PlaceFacts(is_own=place == Place("discord", "user", "owner"))


@pytest.fixture
async def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    monkeypatch.chdir(tmp_path)
    app = App(load(None, fal_key="id:secret", data_dir=str(tmp_path)), serve=False)
    app.adapters["discord"] = OwnersPlatform()  # type: ignore[assignment]
    try:
        await migrate(app.database)
        yield app
    finally:
        await app.alerts.close()
        await app.database.close()


@pytest.mark.parametrize(("free_bytes", "told"), [(2_000_000_000, "ok"), (900_000_000, "nearly full")])
async def test_a_disk_on_which_nothing_new_is_taken_is_not_ready(
    app: App, monkeypatch: pytest.MonkeyPatch, free_bytes: int, told: str
) -> None:
    monkeypatch.setattr("bot.providers.free_bytes", lambda folder: free_bytes)
    assert (await app.health.readiness())["disk"] == told


@pytest.mark.parametrize(("user_id", "everything"), [("owner", True), ("somebody", False)])
async def test_alerts_of_the_whole_bot_go_where_its_owner_asks_for_them_in_a_chat(
    app: App, user_id: str, everything: bool
) -> None:
    who = Requester("discord", user_id, workspace_id="1", is_moderator=True)
    await app.service.limits.set_alert_channel(who, "2")
    assert [place.everything for place in await app.budget.limits.rules.alert_places()] == [everything]


async def test_the_operator_hears_once_an_hour_of_the_same_and_ten_times_of_who_asks_to_be_let_in(app: App) -> None:
    await app.service.limits.set_alert_channel(Requester("discord", "owner", workspace_id="1", is_moderator=True), "2")
    for number in range(12):
        app.alerts.tell("bill", lambda locale: Notice("a bill"))
        app.alerts.tell("place", lambda locale, n=number: Notice(f"place {n}"), most_an_hour=10)  # type: ignore[misc]
        await asyncio.gather(*app.alerts._pending)
    posted = app.adapters["discord"].posted  # type: ignore[attr-defined]
    assert posted == [("2", "a bill"), *(("2", f"place {number}") for number in range(10))]


@pytest.mark.parametrize("failure", [DeliveryUnavailable(), LedgerUnavailable(), RuntimeError("an odd answer")])
async def test_an_alert_that_reached_nobody_is_sent_when_it_comes_again_within_the_hour(
    app: App, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    await app.service.limits.set_alert_channel(Requester("discord", "owner", workspace_id="1", is_moderator=True), "2")
    told: list[str] = []

    async def notify(workspace_id: str, channel_id: str, notice: Notice) -> None:
        told.append(channel_id)
        if len(told) == 1:
            raise failure

    monkeypatch.setattr(app.adapters["discord"], "notify", notify)
    for _ in range(3):
        app.alerts.tell("refused:discord", lambda locale: Notice("intents"))
        await asyncio.gather(*app.alerts._pending)
    assert told == ["2", "2"]


async def test_a_platform_that_does_not_answer_holds_up_no_job_that_fal_refused(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.service.limits.set_alert_channel(Requester("discord", "owner", workspace_id="1", is_moderator=True), "2")
    asked = asyncio.Event()

    async def notify(workspace_id: str, channel_id: str, notice: Notice) -> None:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(app.adapters["discord"], "notify", notify)
    async with asyncio.timeout(10):
        app.alerts.halted(ProviderHalted(kind="credit"))
        await asked.wait()


async def test_a_halt_is_told_once_by_all_processes_together_until_fal_has_accepted_a_job(app: App) -> None:
    await app.service.limits.set_alert_channel(Requester("discord", "owner", workspace_id="1", is_moderator=True), "2")
    processes = [AlertSender(app.state, lambda: app.budget, lambda: app.ctx) for _ in range(2)]
    credit, key = ProviderHalted(kind="credit"), ProviderHalted(kind="key")
    for news in ((credit, credit), (key, credit), (None, None), (credit, credit)):
        for process, halted in zip(processes, news, strict=True):
            process.halted(halted)
            await asyncio.gather(*process._pending)
    assert len(app.adapters["discord"].posted) == 3  # type: ignore[attr-defined]


async def choose_two_alert_channels(app: App) -> None:
    for workspace_id, channel_id in (("1", "2"), ("3", "4")):
        owner = Requester("discord", "owner", workspace_id=workspace_id, is_moderator=True)
        await app.service.limits.set_alert_channel(owner, channel_id)


async def test_a_place_that_was_told_hears_it_once_an_hour_although_another_fails(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await choose_two_alert_channels(app)
    asked: list[str] = []

    async def notify(workspace_id: str, channel_id: str, notice: Notice) -> None:
        asked.append(channel_id)
        if channel_id == "2":
            raise RuntimeError("an odd answer")

    monkeypatch.setattr(app.adapters["discord"], "notify", notify)
    for _ in range(3):
        app.alerts.tell("bill", lambda locale: Notice("a bill"))
        await asyncio.gather(*app.alerts._pending)
    assert asked.count("4") == 1


async def test_a_platform_that_is_away_does_not_keep_an_alert_from_the_others(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await choose_two_alert_channels(app)
    told, asked = asyncio.Event(), []

    async def notify(workspace_id: str, channel_id: str, notice: Notice) -> None:
        asked.append(channel_id)
        await told.wait() if len(asked) == 1 else told.set()

    monkeypatch.setattr(app.adapters["discord"], "notify", notify)
    app.alerts.tell("bill", lambda locale: Notice("a bill"))
    async with asyncio.timeout(30):
        await asyncio.gather(*app.alerts._pending)
    assert sorted(asked) == ["2", "4"]
