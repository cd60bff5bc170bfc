"""Every documented refusal at every stage of a job: its message ends in true words, and it is charged once or not.

One test per stage, in which all refusals happen at once, each in a channel of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from adapters.discord.outbound.job_message import DiscordReply
from core.domain.job import Job
from core.storage.tables import incidents
from tests.adapters.discord.fake_service import png
from tests.adapters.discord.kit import delete
from tests.adapters.discord.whole import Whole, whole_bot
from tests.emulators.discord import Fault, Invocation, SeenMessage, Upload
from tests.emulators.discord.refusals import REFUSALS
from tests.emulators.discord.world import Channel, User

PICTURE = Upload("harbour.png", png(64, 48))
SECOND = Upload("quay.png", png(48, 64))
PRICE_NANOUSD = 100_000_000
HERE, DIRECT = 1, 2
HOOK = "(PATCH|POST) .*/webhooks/"
TOO_LARGE = ((413, 0), (413, 40005), (413, 50045))

AT_MESSAGES = "(PATCH|POST) .*/(webhooks|channels)/"
NOWHERE = [Fault(AT_MESSAGES, "status", 99, place=where) for where in (HERE, DIRECT)]
FEW = (
    *{status: (status, code) for status, code in REFUSALS if code not in (10008, 10062, 40060)}.values(),
    (429, 30046),
    (403, 20009),
    (400, 200000),
)
"""One of each HTTP status, where nothing else counts."""
FILES = [Fault("(PATCH|POST) ", "status", 99, brings="files", place=where) for where in (HERE, DIRECT)]
AT_ONCE = 25
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
ANSWERS = ((404, 10062), (404, 10015), (400, 40060))
"""What Discord answers where an interaction is too old, its token dead, or somebody else has answered it."""


@dataclass
class Case:
    """One refusal in a place of its own, and what its member sees there and in direct messages."""

    status: int
    code: int
    user: User
    channel: Channel
    started: Invocation
    batch: bool = False
    job: Job | None = None

    def seen(self, whole: Whole) -> list[SeenMessage]:
        return whole.discord.messages(self.channel, self.user) + whole.discord.dms(self.user)

    @property
    def keys(self) -> list[str]:
        """Of its jobs. The last is looked at: the only one, or the second of a batch, whose message is a follow-up."""
        one = f"discord:{self.started.interaction.id}"
        options = {each["name"]: each["value"] for each in self.started.interaction.payload["data"]["options"]}
        return [f"{one}:0:{options['image']}", f"{one}:1:{options['image2']}"] if self.batch else [one]

    @property
    def place(self) -> dict[str, Any]:
        return {"user": self.user, "channel": self.channel}

    @property
    def outcome(self) -> str:
        assert self.job is not None
        if self.job.delivery is None:
            return self.job.state.value
        return "kept" if self.job.delivery.shape == "kept" else self.job.delivery.elsewhere or "here"


@pytest.fixture
async def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Whole]:
    async with whole_bot(tmp_path, monkeypatch) as bot:
        yield bot
        assert bot.discord.violations == []
        assert await bot.held() == 0
        async with bot.app.database.read() as connection:
            assert (await connection.execute(select(func.count()).select_from(incidents))).scalar_one() == 0


def _refuse(whole: Whole, case: Case, faults: list[Fault]) -> None:
    direct = whole.discord.world.dm_with(case.user)
    for fault in faults:
        place = case.channel.id if fault.place == HERE else direct.id
        whole.discord.faults.append(replace(fault, status=case.status, code=case.code, place=place))


async def _begin(
    whole: Whole, faults: list[Fault], refusals: Sequence[tuple[int, int]] = REFUSALS, *, batch: bool = False
) -> list[Case]:
    """A job (or two) in a place of its own for each refusal."""
    cases = []
    for status, code in refusals:
        user = whole.discord.world.add_user(f"m{status}x{code}")
        channel = whole.discord.world.add_channel(whole.discord.guild)
        case = Case(status, code, user, channel, None, batch)  # type: ignore[arg-type]
        _refuse(whole, case, faults)
        asked = {"image": PICTURE, "seed": status * 1_000_000 + code} | ({"image2": SECOND} if batch else {})
        case.started = await whole.discord.invoke("/upscale", asked, user=user, channel=channel)
        cases.append(case)
    return cases


async def _ended(whole: Whole, cases: list[Case]) -> None:
    late = []
    for case in cases:
        for key in case.keys:
            try:
                case.job = await whole.ended(key)
            except TimeoutError:
                job = await whole.job(key)
                late.append((case.status, case.code, job and job.state))
    assert late == []
    await whole.settled()


def _wrong(whole: Whole, case: Case, charges: dict[str, list[int]], wanted: str, *, words: bool) -> list[str]:
    """What is not as it should be in this case."""
    job = case.job
    assert job is not None
    said = [m for m in case.seen(whole) if not m.images]
    text = " ".join(m.text for m in said)
    wrong = []
    too_large = (case.status, case.code) in TOO_LARGE and bool(charges.get(job.id))
    gone = case.code == 10008  # nobody sees a message that is gone, and what comes in its place is for its owner alone
    allowed = {*wanted.split(), *(["here", "kept"] if too_large else []), *(["direct_message"] if gone else [])}
    if case.outcome not in allowed:
        wrong.append(f"ended {case.outcome}")
    if charges.get(job.id, []) != ([] if case.outcome == "refused" else [PRICE_NANOUSD]):
        wrong.append(f"charged {charges.get(job.id)}")
    shown = case.outcome not in ("kept", "refused") and job.delivery is not None and job.delivery.shape != "link"
    if len(case.seen(whole)) - len(said) != shown + (case.batch and wanted != "kept"):
        wrong.append("another number of images")
    words = words and not gone
    if words and any("Cancel" in m.labels or "Upscaling" in m.text for m in said):
        wrong.append(f"still working: {text!r}")
    told = {"kept": "history", "direct_message": "as a direct message", "new_message": "as a new message"}
    if words and case.outcome in told and said and (told[case.outcome] not in text or "Charged $0.10" not in text):
        wrong.append(f"{case.outcome}, but says {text!r}")
    return [f"{case.status} {case.code}: {each}" for each in wrong]


@pytest.mark.timeout(600)  # 145 whole jobs, or twice as many
@pytest.mark.parametrize("stage", STAGES)
async def test_a_refusal_at(whole: Whole, stage: str) -> None:
    faults, wanted = STAGES[stage]
    told = wanted != "refused" and faults is not NOWHERE
    refusals = (*FEW, *ANSWERS) if stage == "the first answer" else REFUSALS
    for first in range(0, len(refusals), AT_ONCE):
        cases = await _at_stage(whole, stage, faults, refusals[first : first + AT_ONCE])
        await _ended(whole, cases)
        charges = await whole.charges()
        assert not [w for c in cases for w in _wrong(whole, c, charges, wanted, words=told)]
    assert wanted != "refused" or whole.fal.submits == []


async def _at_stage(whole: Whole, stage: str, faults: list[Fault], refusals: Sequence[tuple[int, int]]) -> list[Case]:
    """Jobs that meet these refusals at this stage."""
    batch = "follow-up" in stage or "batch" in stage
    if " after " not in stage:
        cases = await _begin(whole, faults, refusals, batch=batch)
    else:
        whole.fal.slots, before = 0, len(whole.fal.submits)
        cases = await _begin(whole, [], refusals, batch=batch)
        await whole.discord.until(lambda: len(whole.fal.submits) == before + len(refusals) * (1 + batch), 200)
        for case in cases:
            _refuse(whole, case, faults)
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
            await whole.discord.until(lambda f=fault: f.times < 3, what=f"{status} {code} {label}")
    whole.discord.faults.clear()
    await whole.settled()
    assert list((await whole.charges()).values()) == [[PRICE_NANOUSD]]


async def test_a_deletion_that_is_refused_is_said_and_the_message_emptied(whole: Whole) -> None:
    cases = await _begin(whole, [Fault("DELETE ", "status", 99, place=HERE)], FEW)
    await _ended(whole, cases)
    wrong = []
    for case in cases:
        pressed = await delete(whole.discord, await case.started.answer(lambda m: m.images), **case.place)
        said = (await pressed.answer(lambda m: "Delete this" not in m.text, 200)).text
        [left] = whole.discord.messages(case.channel, whole.discord.world.owner)
        if left.images or "have been deleted" not in left.text or "could not be removed" not in said:
            wrong.append(f"{case.status} {case.code}: {left.text!r} {said!r}")
    assert wrong == []


def _uploads(whole: Whole) -> int:
    return sum(r.headers.get("Content-Type", "").startswith("multipart/") for r in whole.discord.requests)


async def test_uploads_that_stay_unavailable_until_the_tries_end_are_kept_and_said(whole: Whole) -> None:
    down = tuple((status, 0) for status in (500, 502, 503, 504, 520, 524, 529))
    cases = await _begin(whole, [replace(fault, times=10_000) for fault in FILES], down)
    await whole.discord.until(lambda: _uploads(whole) >= 2 * len(down), 200)
    whole.clock.offset_s += 3 * 86_400
    await _ended(whole, cases)
    charges = await whole.charges()
    assert not [w for c in cases for w in _wrong(whole, c, charges, "kept", words=True)]


async def test_words_that_were_unavailable_too_are_said_once_discord_is_back(whole: Whole) -> None:
    whole.fal.slots = 0
    [case] = await _begin(whole, [], [(503, 0)])
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
    assert not _wrong(whole, case, await whole.charges(), "kept", words=True)


async def test_three_bugs_in_a_row_keep_the_picture_and_say_so(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    async def bug(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(DiscordReply, "finished", bug)
    cases = await _begin(whole, [], [(0, 0)])
    await _ended(whole, cases)
    assert not _wrong(whole, cases[0], await whole.charges(), "kept", words=True)
    monkeypatch.undo()
    [kept] = [m for m in cases[0].seen(whole) if "Send again" in m.labels]
    await (await whole.discord.click(kept, "Send again", **cases[0].place)).answer(lambda m: m.images, 200)
