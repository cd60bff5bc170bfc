"""Erasure of a member or workspace: everything of theirs, also running jobs, and nothing of others."""

import dataclasses
import json
import re
import zipfile

import pytest
from sqlalchemy import select

from core.accounts.allowlist import AllowList, AllowSettings
from core.domain.errors import NotAdmitted, SelectionClosed, StorageFull, TooLate
from core.domain.identity import Place
from core.domain.job import JobState, Requester
from core.domain.limits import Measure, ScopeKind, WantedLimit, Window
from core.jobs.selections import Selection, Selections
from core.storage.tables import metadata
from tests.core.jobs.pipeline_kit import ANN, BOB, MOD, USD, VAULT, World

MINE = Requester("slack", "U1", "Ann", workspace_id="T1")
OTHER = dataclasses.replace(MINE, workspace_id="T2")
OPERATOR = Requester("cli", "op", "Op", is_operator=True)


async def test_another_teams_member_with_the_same_id_shares_neither_defaults_nor_export_nor_erasure(w: World) -> None:
    await w.service.accounts.set_defaults(MINE, "creativity=0.7")
    assert await w.service.accounts.defaults(OTHER) == {}
    theirs = await w.done(requester=OTHER)
    mine = await w.done(requester=MINE)
    await w.service.accounts.set_defaults(OTHER, "creativity=0.2")
    selections = Selections(w.service, w.state, "slack")
    for who in (MINE, OTHER):
        one = w.request(requester=who, key=f"slack:{who.workspace_id}:1")
        await selections.stored.put(who.workspace_id, Selection((one,), (None,)))
        assert await w.state.claim("slack.click", f"{who.workspace_id}:U1:again", ttl_s=9)
    assert await w.service.accounts.erase(MINE) == 1
    assert [await w.state.keys(area) for area in ("slack.batch", "slack.click")] == [["T2"], ["T2:U1:again"]]
    assert await w.store.get(mine.id) is None
    assert await w.store.get(theirs.id) is not None
    assert await w.service.accounts.defaults(MINE) == {}
    assert await w.service.accounts.defaults(OTHER) == {"creativity": 0.2}


async def test_jobs_of_one_moment_are_all_exported_and_erased(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.accounts.service._PAGE", 2)
    jobs = [await w.ask() for _ in range(5)]
    assert len({job.created_at for job in jobs}) == 1
    await w.drive()
    path = await w.service.accounts.export(ANN)
    with zipfile.ZipFile(path) as archive:
        record = json.loads(archive.read("data.json"))
    with pytest.raises(StorageFull) as refused:
        await w.service.accounts.export(ANN)
    assert refused.value.reason == "export", "one at a time: each is as large as all that is kept"
    path.unlink()
    (await w.service.accounts.export(ANN)).unlink()
    monkeypatch.setattr("core.accounts.service.free_bytes", lambda _: 10**9)
    with pytest.raises(StorageFull) as full:
        await w.service.accounts.export(ANN)
    assert full.value.reason == "disk"
    assert {job["reference"] for job in record["jobs"]} == {job.id for job in jobs}
    assert await w.service.accounts.erase(ANN) == 5


async def test_a_running_job_is_stopped_and_erased_when_it_is_over_and_later_ones_are_left_alone(w: World) -> None:
    other = await w.done(requester=BOB)
    running = await w.ask()
    assert await w.service.accounts.erase(ANN) == 1
    assert (await w.ctx.load(running.id)).cancel_requested_by
    await w.members.finish_purges()
    assert await w.store.get(running.id) is not None, "its message still has to be told"
    await w.clock.advance(1)
    later = await w.ask()
    await w.crash()
    await w.drive()
    assert (await w.ctx.load(running.id)).state is JobState.CANCELLED
    assert len(w.upscaler.taken) == 2, "the stopped one was never paid for"
    await w.members.finish_purges()
    assert await w.store.get(running.id) is None
    assert await w.store.get(later.id) is not None
    assert await w.store.get(other.id) is not None
    assert await w.state.keys("purge") == []


async def test_an_open_question_is_closed_by_an_erasure_and_gone_once_its_message_says_so(w: World) -> None:
    asked = await w.driven((await w.ask(source=w.upload(2400, 1600))).id)
    assert asked.state is JobState.AWAITING_CONFIRMATION
    assert await w.service.accounts.erase(ANN) == 1
    closed = await w.job(asked.id)
    assert (closed.state, closed.images_deleted) == (JobState.CANCELLED, True)
    with pytest.raises(TooLate):
        await w.service.confirm(asked.id, ANN)
    await w.members.finish_purges()
    assert await w.store.get(asked.id) is not None, "its message still has to be told"
    await w.clock.advance(100)
    await w.maintenance.fulfil_obligations()
    assert w.adapter.message(asked).last.kind == "failed"
    await w.members.finish_purges()
    assert await w.store.get(asked.id) is None
    assert await w.state.keys("purge") == []


async def test_a_removed_workspace_is_purged_whole(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.storage.job_searches._PAGE_ROWS", 2)
    done = [await w.done() for _ in range(5)]
    elsewhere = await w.done(requester=dataclasses.replace(ANN, workspace_id="w2"))
    running = await w.ask()
    for place, channel in (("w1", ""), ("w1", "c1"), ("w2", "")):
        moderator = dataclasses.replace(MOD, workspace_id=place)
        await w.members.replace_place_presets(moderator, "3x", channel)
    await w.service.accounts.forget_workspace("fake", "w1")
    assert await w.state.keys("place_presets") == ["fake:w2:"]
    assert [(await w.ctx.load(job.id)).images_deleted for job in done] == [True] * 5
    assert not (await w.ctx.load(elsewhere.id)).images_deleted
    await w.drive()
    await w.members.finish_purges()
    ended = await w.ctx.load(running.id)
    assert (ended.state.terminal, ended.images_deleted) == (True, True)
    assert await w.state.keys("purge") == []


async def test_what_moderators_ruled_is_exported_and_keeps_no_name_after_an_erasure(w: World) -> None:
    limits, moderator = w.service.limits, dataclasses.replace(ANN, is_moderator=True)
    own = WantedLimit(ScopeKind.USER, "ann", Measure.JOBS, Window.DAY, 9)
    for actor in (MOD, moderator):
        await limits.set_limit(actor, own)
        await limits.set_limit(actor, dataclasses.replace(own, scope_id=actor.user_id, window=Window.WEEK))
        await limits.add_extra(actor, "ann", USD, Window.DAY)
        await limits.sponsor(actor, "c1", USD)
        await limits.set_alert_channel(actor, "c1")
    await limits.set_limit(MOD, WantedLimit(ScopeKind.USER, "", Measure.USD, Window.DAY, USD))

    async def money() -> int:
        return next(
            s.limit.amount
            for s in await w.ledger.statuses(ANN)
            if s.limit.source == "moderator" and s.limit.measure is Measure.USD
        )

    assert await money() == 3 * USD
    job = await w.done()
    assert job.result is not None
    await limits.pause(moderator, True)
    path = await w.service.accounts.export(ANN)
    with zipfile.ZipFile(path) as archive:
        record = json.loads(archive.read("data.json"))
    assert [(one["window"], one["amount"]) for one in record["limits"]] == [("day", 9), ("week", 9)]
    assert [one["amount_nanousd"] for one in record["extras"]] == [USD, USD]
    assert len(record["limit_changes"]) == 2 + 6
    assert [(one["name"], one["result"]["width_px"]) for one in record["jobs"]] == [
        (job.source.name, job.result.width_px)
    ]
    await w.service.accounts.erase(ANN)
    own_ones = []
    for table in metadata.sorted_tables:
        rows = await w.ledger.database.rows(select(table))
        own_ones += [table.name for row in rows if re.search(r"\bann\b", str(row), re.IGNORECASE)]
    assert own_ones == ["ledger_limits", "ledger_limits"], "an erasure lifts no limit"
    assert await money() == USD


async def _texts(w: World) -> list[tuple[str, str]]:
    """Every row of the database by its table, with what is encrypted in it in clear."""
    found = []
    for table in metadata.sorted_tables:
        for row in await w.ledger.database.rows(select(table)):
            opened = [VAULT.decrypt(one) if isinstance(one, str) and VAULT.can_decrypt(one) else one for one in row]
            found.append((table.name, str(opened)))
    return found


async def test_nothing_in_the_database_names_a_member_after_an_erasure_but_decisions_about_them(w: World) -> None:
    allowlist = AllowList(AllowSettings(("elsewhere",)), w.state, w.clock, w.ctx.operator, {})
    selections = Selections(w.service, w.state, "fake")
    moderator, alone = dataclasses.replace(ANN, is_moderator=True), dataclasses.replace(ANN, workspace_id="")
    for who in (ANN, BOB):
        await w.service.accounts.set_defaults(who, "creativity=0.7")
        await w.members.save_preset(who, "mine", "3x", {})
        pictures = tuple(w.request(requester=who, key=f"{who.user_id}:{number}") for number in range(2))
        await selections.stored.put(f"question-of-{who.user_id[0]}", Selection(pictures, ((900, 600),) * 2))
        for area, key in (("fake-talk", f"{who.user_id}:c1"), ("fake.answered", f"help:{who.user_id}:c1")):
            assert await w.state.claim(area, key, ttl_s=600)
    for who in (dataclasses.replace(ANN, user_name="Ann before"), alone):
        with pytest.raises(NotAdmitted):
            await allowlist.check(who)
    await allowlist.decide(OPERATOR, Place.of_person(dataclasses.replace(alone, user_id="carla")), "admit")
    mine, theirs = await w.done(), await w.done(requester=BOB)
    for job in (mine, theirs):
        await w.state.put("fake.beside", job.id, {"messages": [["c1", "17.1"]]})
        await w.state.put("fake-delete", f"{job.id}:17", {"token": "t"})
    stopped = await w.ask(requester=BOB)
    await w.service.cancel(stopped.id, moderator)
    await w.drive()
    assert len([table for table, text in await _texts(w) if re.search(r"\bann\b", text, re.IGNORECASE)]) > 10

    await w.service.accounts.erase(ANN)
    assert [row for row in await _texts(w) if re.search(r"\bann\b", row[1], re.IGNORECASE)] == []
    assert [await w.state.keys(area) for area in ("erased_requests", "fake.beside", "fake-delete")] == [
        [mine.id], [theirs.id], [f"{theirs.id}:17"]
    ]  # fmt: skip
    assert await selections.load("question-of-b", BOB)
    with pytest.raises(SelectionClosed):
        await selections.load("question-of-a", ANN)
    assert await w.service.accounts.defaults(BOB) == {"creativity": 0.7}
    assert (await w.ctx.load(stopped.id)).cancel_requested_by.startswith("fake:erased:")
    assert [known.place.address for known in await allowlist.places(OPERATOR)] == ["fake:w1", "fake:@carla"]
    with pytest.raises(NotAdmitted):
        await allowlist.check(alone)
    assert len(await allowlist.places(OPERATOR)) == 3, "one who comes back is asked about again"


async def test_a_decision_about_a_person_outlives_their_erasure_without_their_name(w: World) -> None:
    allowlist = AllowList(AllowSettings(), w.state, w.clock, w.ctx.operator, {})
    alone = dataclasses.replace(ANN, workspace_id="")
    with pytest.raises(NotAdmitted):
        await allowlist.check(alone)
    await allowlist.decide(OPERATOR, Place.of_person(alone), "refuse")
    await w.service.accounts.erase(alone)
    [known] = await allowlist.places(OPERATOR)
    assert (known.state, known.place.id, known.name) == ("refused", "ann", "")
    await w.service.accounts.erase(OPERATOR)
    [known] = await allowlist.places(OPERATOR)
    assert (known.state, known.by, known.by_id) == ("refused", "", "")
