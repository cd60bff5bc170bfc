"""Every documented Discord error at every stage of a job: the final message is true; no job is charged twice.

Whole jobs meet one refusal of each kind, all at once, each in a channel of its own; and every refusal is shown to be
treated as the one of its kind by every call, of which there are ten times as many.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from adapters.discord.outbound import errors
from adapters.discord.outbound.job_message import DiscordReply
from adapters.discord.outbound.payload import payload_of
from core.presentation import plain_card
from core.storage.tables import incidents
from tests.adapters.discord.kit import Bot, delete
from tests.adapters.discord.refusal_cases import (
    ANSWERS,
    AT_MESSAGES,
    DIRECT,
    FEW,
    FILES,
    HERE,
    HOOK,
    KINDS,
    NAMED,
    NOWHERE,
    PICTURE,
    PRICE_NANOUSD,
    Case,
    all_ended,
    begin,
    kind_of,
    refuse,
    what_is_wrong,
)
from tests.adapters.discord.whole import Whole, whole_bot
from tests.emulators.discord import Fault
from tests.emulators.discord.refusals import REFUSALS

STAGES = {
    # What is refused before the paid call ends there, uncharged: on a crowded machine also where a result is wanted.
    "the answer's final edit": ([Fault(HOOK, "status", 99, brings="files", place=HERE)], "here new_message"),
    "a progress edit, then the channel": (
        [Fault("PATCH ", "status", 1, brings="words", place=HERE), FILES[0]],
        "direct_message",
    ),
    "a direct message": (FILES, "kept"),
    "every message before the job is paid": (NOWHERE, "refused"),
    "every message after it was paid": (NOWHERE, "kept"),
    "the first answer": ([Fault("/callback", "status", 99, place=HERE)], "refused"),
    "a follow-up, then the channel": ([Fault("POST .*/webhooks/", "status", 99, place=HERE)], "new_message refused"),
    "the edit of a follow-up": ([Fault(r"PATCH .*/webhooks/.*/\d+$", "status", 99, place=HERE)], "here new_message"),
    "opening a direct message": ([FILES[0], Fault("POST .*/users/@me/channels", "status", 99, place=DIRECT)], "kept"),
    "every message after a batch is paid": (NOWHERE, "kept"),
}


@pytest.fixture
async def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Whole]:
    async with whole_bot(tmp_path, monkeypatch) as bot:
        yield bot
        assert bot.discord.violations == []
        assert await bot.held() == 0
        async with bot.app.database.read() as connection:
            assert (await connection.execute(select(func.count()).select_from(incidents))).scalar_one() == 0


@pytest.mark.timeout(600)  # some 330 whole jobs
async def test_a_refusal_of_each_kind_at_every_stage(whole: Whole) -> None:
    wrong = {}
    for stage, (faults, wanted) in STAGES.items():
        told = wanted != "refused" and faults is not NOWHERE
        before = len(whole.fal.submits)
        cases = await _at_stage(whole, stage, faults, (*FEW, *ANSWERS) if stage == "the first answer" else KINDS)
        await all_ended(whole, cases)
        whole.discord.faults.clear()
        charges = await whole.charges()
        wrong[stage] = [w for c in cases for w in what_is_wrong(whole, c, charges, wanted, words=told)]
        if wanted == "refused" and len(whole.fal.submits) > before:
            wrong[stage].append("paid for")
    assert not any(wrong.values()), wrong


def _treatment(error: Exception) -> tuple[object, ...]:
    """How the adapter classifies an error."""
    code = errors.code_of(error)
    asked = (errors.is_token_dead, errors.is_message_gone, errors.is_request_gone, errors.is_too_large)
    refused = errors.to_delivery_error(error)
    return type(error), code if code in NAMED else 0, refused.code, refused.args, *(ask(error) for ask in asked)


async def test_every_refusal_is_treated_as_the_one_of_its_kind_by_every_call(bot: Bot) -> None:
    rest, words = bot.adapter._rest, payload_of(plain_card("words"))
    bot.discord.limits.invalid_cap = 1_000_000
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "edit of an answer": lambda: rest.edit_answer(1, "token", "@original", words, 1),
        "edit of a follow-up": lambda: rest.edit_answer(1, "token", 5, words, 1),
        "follow-up": lambda: rest.follow_up(1, "token", words, ephemeral=False, attempts=1),
        "message": lambda: rest.send(1, words, nonce="n", attempts=1),
        "edit of a message": lambda: rest.edit_message(1, 2, words, attempts=1),
        "direct channel": lambda: rest.open_dm(1),
        "deletion": lambda: rest.delete_message(1, 2),
        "deletion of an answer": lambda: rest.delete_answer(1, "token"),
    }

    async def treated(call: Callable[[], Awaitable[object]], status: int, code: int) -> tuple[object, ...]:
        bot.discord.faults[:] = [Fault(".", "status", 99, status, code=code)]
        with pytest.raises(errors.FAILED_CALLS) as caught:
            await call()
        return _treatment(caught.value)

    wrong = []
    for name, call in calls.items():
        kinds = {kind_of(*refusal): await treated(call, *refusal) for refusal in KINDS}
        for refusal in REFUSALS:
            if await treated(call, *refusal) != kinds[kind_of(*refusal)]:
                wrong.append((name, *refusal))
    bot.discord.faults.clear()
    assert wrong == []


async def _at_stage(whole: Whole, stage: str, faults: list[Fault], refusals: Sequence[tuple[int, int]]) -> list[Case]:
    """Jobs that meet these errors at this stage."""
    batch = "follow-up" in stage or "batch" in stage
    if " after " not in stage:
        return await begin(whole, faults, refusals, batch=batch)
    whole.fal.slots, before = 0, len(whole.fal.submits)
    cases = await begin(whole, [], refusals, batch=batch)
    await whole.discord.until(lambda: len(whole.fal.submits) == before + len(refusals) * (1 + batch), 200)
    for case in cases:
        refuse(whole, case, faults)
    whole.fal.slots = 200
    whole.fal.runner.start_waiting()
    return cases


@pytest.mark.parametrize("refused", ["/callback", "(PATCH|POST) .*/webhooks/"], ids=["the first answer", "the rest"])
async def test_a_refusal_behind_a_button_is_said_without_an_incident_and_costs_nothing(
    whole: Whole, refused: str
) -> None:
    started = await whole.discord.invoke("/upscale", {"image": PICTURE, "seed": 1})
    result = await started.answer(lambda m: m.images, 200)
    whole.discord.limits.invalid_cap = 1_000_000
    for status, code in FEW:
        for label in ("Compare",) if refused != "/callback" else ("Compare", "Details", "Again"):
            fault = Fault(refused, "status", 3, status, code=code)
            whole.discord.faults[:] = [fault]
            await whole.discord.click(result, label)
            await whole.discord.until(lambda: fault.times < 3, what=f"{status} {code} {label}")  # noqa: B023
    whole.discord.faults.clear()
    await whole.settled()
    assert list((await whole.charges()).values()) == [[PRICE_NANOUSD]]


async def test_a_deletion_that_is_refused_is_said_and_the_message_emptied(whole: Whole) -> None:
    cases = await begin(whole, [Fault("DELETE ", "status", 99, place=HERE)], FEW)
    await all_ended(whole, cases)
    wrong = []
    for case in cases:
        pressed = await delete(whole.discord, await case.started.answer(lambda m: m.images), **case.place)
        answer = (await pressed.answer(lambda m: "Delete this" not in m.text, 200)).text
        [left] = whole.discord.messages(case.channel, whole.discord.world.owner)
        if left.images or "have been deleted" not in left.text or "could not be removed" not in answer:
            wrong.append(f"{case.status} {case.code}: {left.text!r} {answer!r}")
    assert wrong == []


def _uploads(whole: Whole) -> int:
    return sum(r.headers.get("Content-Type", "").startswith("multipart/") for r in whole.discord.requests)


async def test_uploads_that_stay_unavailable_until_the_tries_end_are_kept_and_said(whole: Whole) -> None:
    down = tuple((status, 0) for status in (500, 502, 503, 504, 520, 524, 529))
    cases = await begin(whole, [replace(fault, times=10_000) for fault in FILES], down)
    await whole.discord.until(lambda: _uploads(whole) >= 4 * len(down), 200)
    for case in cases:
        waiting = await case.started.answer(lambda m: "does not take it yet" in m.text, 200)
        assert waiting.labels == []
    whole.clock.offset_s += 3 * 86_400
    await all_ended(whole, cases)
    charges = await whole.charges()
    assert not [w for c in cases for w in what_is_wrong(whole, c, charges, "kept", words=True)]


async def test_words_that_were_unavailable_too_are_said_once_discord_is_back(whole: Whole) -> None:
    whole.fal.slots = 0
    [case] = await begin(whole, [], [(503, 0)])
    await whole.discord.until(lambda: whole.fal.submits, 200)
    whole.discord.faults.append(Fault(AT_MESSAGES, "status", 10_000, 503))
    whole.fal.slots = 200
    whole.fal.runner.start_waiting()
    await whole.discord.until(lambda: _uploads(whole), 200)
    whole.clock.offset_s += 3 * 86_400
    case.job = await whole.ended(case.keys[-1])
    whole.discord.faults.clear()
    whole.clock.offset_s += 3600
    await whole.app.maintenance.pick_up()
    await whole.settled()
    assert not what_is_wrong(whole, case, await whole.charges(), "kept", words=True)


async def test_three_bugs_in_a_row_keep_the_picture_and_say_so(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    async def bug(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(DiscordReply, "finished", bug)
    cases = await begin(whole, [], [(0, 0)])
    await all_ended(whole, cases)
    assert not what_is_wrong(whole, cases[0], await whole.charges(), "kept", words=True)
    monkeypatch.undo()
    [kept] = [m for m in cases[0].seen(whole) if "Send again" in m.labels]
    await (await whole.discord.click(kept, "Send again", **cases[0].place)).answer(lambda m: m.images, 200)
