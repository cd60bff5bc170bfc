"""Who may do what with a job, in each of its states, and with a workspace. What is refused changes nothing."""

import inspect
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
from sqlalchemy import select

from core.accounts.allowlist import AllowList, AllowSettings
from core.accounts.service import Accounts
from core.budgets.limits import Limits
from core.budgets.service import Budgets
from core.domain.errors import JobNotFound, NotAdmitted, NotAllowed, UpscaleError
from core.domain.job import Job, ReplyAddress, Requester
from core.domain.limits import Measure, ScopeKind, WantedLimit, Window
from core.domain.variations import CHANGES, Change
from core.jobs.service import JobService
from core.presentation.card import ActionKind, ChoiceKind
from core.storage.tables import metadata
from tests.core.jobs.pipeline_kit import World
from tests.fakes.operator import Told

THERE = ReplyAddress("fake", {"message": "there"})
ANN = Requester("slack", "U1", "Ann", workspace_id="T1", channel_id="C1")
BOB = Requester("slack", "U2", "Bob", workspace_id="T1", channel_id="C1")
ACTORS = {
    "requester": ANN,
    "requester in a direct message": replace(ANN, channel_id="D1"),
    "member": BOB,
    "outsider": replace(BOB, user_id="U3", is_outsider=True),
    "moderator": replace(BOB, user_id="U4", is_moderator=True),
    "same id in another team": replace(ANN, workspace_id="T2", is_moderator=True),
    "same ids on another platform": replace(ANN, platform="discord", is_moderator=True),
    "in no workspace": Requester("slack", "U5", channel_id="D5", is_moderator=True),
    "operator": Requester("web", "local", is_operator=True),
}
REQUESTER = {"requester", "requester in a direct message"}
STOPS = REQUESTER | {"moderator", "operator"}
SEES = STOPS | {"member", "outsider"}

Act = Callable[[JobService, str, Requester], Awaitable[object]]
_keys = itertools.count()


def repeat(kind: str, argument: str = "") -> Act:
    def act(service: JobService, job_id: str, actor: Requester) -> Awaitable[object]:
        return service.repeat(job_id, actor, Change.of(kind, argument), key=f"press:{next(_keys)}", reply=THERE)

    return act


def redeliver(service: JobService, job_id: str, actor: Requester) -> Awaitable[object]:
    return service.redeliver(job_id, actor, reply=ReplyAddress("fake", {"message": f"press:{next(_keys)}"}))


def see(service: JobService, job_id: str, actor: Requester) -> Awaitable[object]:
    return service.job(job_id, actor)


ACTS: dict[str, tuple[set[str], Act]] = {
    "confirm": (REQUESTER, lambda service, job_id, actor: service.confirm(job_id, actor)),
    "share": (REQUESTER, lambda service, job_id, actor: service.share(job_id, actor)),
    "cancel": (STOPS, lambda service, job_id, actor: service.cancel(job_id, actor)),
    "delete": (STOPS, lambda service, job_id, actor: service.delete(job_id, actor)),
    "compare": (SEES, see),
    "details": (SEES, see),
    "redeliver": (SEES, redeliver),
    **{kind: (SEES, repeat(kind, {"factor": "1.5", "model": "seedvr2"}.get(kind, ""))) for kind in CHANGES},
}
ELSEWHERE = {
    "dismiss": "Slack's, as delete",
    **dict.fromkeys(("pick", "all"), "of a question, not of a job: test_selections"),
    **dict.fromkeys(("admit", "refuse"), "the operator's: below, decide"),
    **dict.fromkeys(("erase", "export", "open_form", "open_link"), "of whoever presses"),
}


async def asked(w: World) -> Job:
    return await w.done(source=w.upload(4000, 3000), text="creativity=0.5", requester=ANN)


async def ran_out(w: World) -> Job:
    job = await asked(w)
    w.clock.at += 3600
    await w.maintenance.expire_questions()
    return await w.driven(job.id)


async def previewed(w: World) -> Job:
    made = await w.service.repeat((await asked(w)).id, ANN, Change.of("preview"), key="p", reply=THERE)
    return await w.driven(made.id)


async def deleted(w: World) -> Job:
    return await w.service.delete((await w.done(requester=ANN)).id, ANN)


async def cancelled(w: World) -> Job:
    return await w.driven((await w.service.cancel((await w.ask(requester=ANN)).id, ANN)).id)


async def sent_again_by_another(w: World) -> Job:
    job = await w.done(requester=ANN)
    return await w.driven((await w.service.redeliver(job.id, BOB, reply=THERE)).id)


STATES: dict[str, Callable[[World], Awaitable[Job]]] = {
    "asked": asked,
    "ran out": ran_out,
    "queued": lambda w: w.ask(requester=ANN),
    "running": lambda w: w.ask_until("wait", requester=ANN),
    "private and running": lambda w: w.ask_until("wait", requester=ANN, private=True),
    "delivering": lambda w: w.ask_until("deliver", requester=ANN),
    "done": lambda w: w.done(requester=ANN),
    "private": lambda w: w.done(requester=ANN, private=True),
    "refused": lambda w: w.done(requester=ANN, text="to=8k"),
    "cancelled": cancelled,
    "deleted": deleted,
    "preview": previewed,
    "sent again by another": sent_again_by_another,
}
UNMADE = {"asked", "queued", "running", "private and running"}


def allowed(act: str, state: str) -> set[str]:
    if state == "sent again by another" and act in ("confirm", "cancel"):  # of the delivery, which is its own
        return {"member"} | ({"moderator", "operator"} if act == "cancel" else set())
    who = ACTS[act][0]
    if act in CHANGES and (state in UNMADE or (state == "ran out" and act in ("model", "preview"))):
        who = REQUESTER
    return who & seen(state) | (STOPS if act in ("cancel", "delete") else set())


def seen(state: str) -> set[str]:
    return REQUESTER | {"operator"} if state.startswith("private") else SEES


async def outcome(pressed: Awaitable[object]) -> object:
    try:
        return await pressed
    except UpscaleError as error:
        return error


async def kept(w: World) -> list[Any]:
    """Everything that is stored, shown and asked of the model."""
    async with w.database.read() as connection:
        rows = [sorted(map(str, await connection.execute(select(table)))) for table in metadata.sorted_tables]
    files = sorted(str(path) for path in w.folder.rglob("*") if path.is_file() and ".db" not in path.name)
    return [rows, files, dict(w.upscaler.calls), {name: len(m.shown) for name, m in w.adapter.messages.items()}]


def test_every_button_says_who_may_press_it() -> None:
    assert set(ACTS) | set(ELSEWHERE) == {*get_args(ActionKind), *get_args(ChoiceKind)}


@pytest.mark.parametrize("state", STATES)
async def test_who_may_do_what_with_a_job(w: World, state: str) -> None:
    job = await STATES[state](w)
    before = await kept(w)
    for act, (_, do) in ACTS.items():
        for name in ACTORS.keys() - allowed(act, state):
            with pytest.raises(NotAllowed if name in seen(state) else JobNotFound):
                await do(w.service, job.id, ACTORS[name])
    assert await kept(w) == before
    for act in sorted(ACTS, key=["cancel", "delete"].__contains__):
        for name in sorted(allowed(act, state)):
            made = await outcome(ACTS[act][1](w.service, job.id, ACTORS[name]))
            assert not isinstance(made, NotAllowed | JobNotFound), (act, name)
            if isinstance(made, Job) and (act in CHANGES or act == "redeliver"):
                assert made.requester == ACTORS[name]  # who presses pays


def rules(act: str, *arguments: Any, **more: Any) -> Act:
    return lambda service, _, actor: getattr(service.limits, act)(actor, *arguments, **more)


LIMIT = WantedLimit(ScopeKind.USER, "U2", Measure.USD, Window.DAY, 10**9)
MODERATES, OPERATES = {"moderator", "operator"}, {"operator"}
OF_A_PLACE: dict[str, tuple[set[str], Act]] = {
    "set_limit": (MODERATES, rules("set_limit", LIMIT)),
    "workspace_limits": (MODERATES, rules("workspace_limits")),
    "limit_changes": (MODERATES, rules("limit_changes")),
    "limit_history": (MODERATES, rules("limit_history")),
    "add_extra": ({"moderator"}, rules("add_extra", "U2", 10**9, Window.DAY)),
    "pause": (MODERATES, rules("pause", paused=True)),
    "sponsor": (MODERATES, rules("sponsor", "C1", 10**9)),
    "set_alert_channel": ({"moderator"}, rules("set_alert_channel", "C1")),
    "set_place_presets": (MODERATES, lambda service, _, actor: service.accounts.set_place_presets(actor, "3x", "C1")),
    "usage": (MODERATES, lambda service, _, actor: service.budgets.usage(actor, member_id="U9")),
    "usage_csv": (MODERATES, lambda service, _, actor: service.budgets.usage_csv(actor, member_id="U9")),
    "queue": (MODERATES, lambda service, _, actor: service.queue(actor)),
    "recent": (OPERATES, lambda service, _, actor: service.recent(actor, limit=9)),
}
OF_ONESELF = {"check", "is_operator", "question_for", "applying", "paused", "estimate", "history", "export", "erase",
              "defaults", "presets", "settings", "change_settings", "set_defaults", "save_preset", "delete_preset",
              "for_request"}  # fmt: skip
"""What each does with their own; `replace_place_presets` is behind `set_place_presets`."""


def test_every_method_for_an_actor_says_who_may_call_it() -> None:
    found = {
        name
        for kind in (JobService, Limits, Accounts, Budgets, AllowList)
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if "actor" in inspect.signature(method).parameters and not name.startswith("_")
    }
    named = {*OF_A_PLACE, *OF_ONESELF, "places", "decide", "replace_place_presets"}
    assert found == named | {"confirm", "share", "cancel", "delete", "job", "redeliver", "repeat"}


async def test_who_may_do_what_with_a_workspace(w: World) -> None:
    own = {name: who for name, who in ACTORS.items() if not name.startswith("same id")}
    before = await kept(w)
    for act, (who, do) in OF_A_PLACE.items():
        for name in own.keys() - who - ({"operator"} if act.startswith(("add", "set_alert")) else set()):
            with pytest.raises(NotAllowed):
                await do(w.service, "", own[name])
    assert await kept(w) == before
    for act, (who, do) in OF_A_PLACE.items():
        for name in who - ({"operator"} if act in ("sponsor", "set_limit", "set_place_presets") else set()):
            await do(w.service, "", own[name])


async def test_who_is_no_longer_let_in_starts_nothing_and_keeps_what_is_theirs(w: World) -> None:
    job, question = await w.done(requester=ANN), await asked(w)
    allowlist = AllowList(AllowSettings(workspaces=("T9",)), w.state, w.clock, Told(), {})
    engine: Any = w.engine
    service = JobService(w.ctx, engine, w.members, w.service.budgets, allow_unsafe=False, allowlist=allowlist)
    with pytest.raises(NotAdmitted):
        await service.confirm(question.id, ANN)  # which asks the operator, once
    before = await kept(w)
    for name in SEES - {"operator"}:
        for act in CHANGES:
            with pytest.raises((NotAdmitted, NotAllowed)):
                await ACTS[act][1](service, job.id, ACTORS[name])
    assert await kept(w) == before
    await service.redeliver(job.id, ANN, reply=THERE)
    assert (await service.cancel(question.id, ANN)).state.terminal
    assert (await service.delete(job.id, ANN)).images_deleted
