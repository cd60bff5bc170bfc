"""Every answer that Slack documents, and some that it does not, at every stage of a job: true texts, the right charge.

All answers of a stage are tried at once, each on a member and a channel of its own.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from adapters.slack.outbound.errors import MESSAGE_INVALID, TOKEN_UNUSABLE, TRANSIENT
from core.domain.job import JobState, ReplyAddress
from tests.adapters.slack.conftest import World
from tests.adapters.slack.fake_service import CHARGED_NANOUSD, Row
from tests.emulators.slack import text_of
from tests.emulators.slack.wire import Fault, known_errors
from tests.emulators.slack.world import Channel, Message, User
from tests.fakes.state import MemoryReplyState
from tests.typed import unwrap

REVOKED = {"account_inactive", "token_revoked", "not_authed", "team_access_not_granted", "app_uninstalled"}
"""After these nobody can be answered any more; `test_workspaces` tests them."""
PASSES = TRANSIENT | TOKEN_UNUSABLE
PASSING: dict[str, dict[str, Any]] = {
    "html": {"status": 200, "body": "<!DOCTYPE html><html>Sign in</html>", "times": 1},
    "bad_gateway": {"status": 502, "body": "<html>bad gateway</html>", "times": 2},
    "reset": {"drop": True, "times": 1},
    "answer_lost": {"drop": True, "after": True, "times": 1},
    "limited": {"error": "ratelimited", "status": 429, "retry_after_s": 20, "times": 1},
}
"""Answers that are not refusals."""
BYTES: dict[str, dict[str, Any]] = {
    **{f"status_{status}": {"status": status, "times": 99} for status in (400, 401, 403, 404, 410, 411, 413, 415)},
    **{f"status_{status}": {"status": status, "times": 2} for status in (408, 429, 500, 502, 503, 504)},
    "never_takes_it": {"status": 503, "times": 9999},
    "reset": {"drop": True, "times": 2},
    "answer_lost": {"drop": True, "after": True, "times": 2},
}
"""Possible answers of the upload address; Slack documents none of them."""


@dataclass
class Try:
    """One answer of Slack, for the job of one member in one channel."""

    code: str
    user: User
    channel: Channel
    im: Channel
    fault: Fault | None = None
    row: Row | None = None
    files: dict[str, Any] = field(default_factory=dict)

    def named(self, name: str) -> Callable[[str], bool]:
        """Whether the id belongs to this row's file of that name."""
        return lambda file_id: file_id in self.files and self.files[file_id].name == f"{self.code}{name}"


@dataclass(frozen=True)
class Stage:
    """Which call gets the answer, and from which stage of the job on."""

    method: str
    match: Callable[[Try], dict[str, Any]]
    held_until: str = ""
    private: bool = False
    direct: bool = False
    asks: bool = False
    kept: bool = False
    """No image can be uploaded, so the message is edited at the end."""
    forbidden: bool = False
    """The bot may not post in the channel, so the member is answered privately there."""
    unpaid: bool = False
    """The image is not made yet: if Slack refuses for good, nothing is paid."""


def _here(one: Try) -> dict[str, Any]:
    return {"channel": one.channel.id}


def _everywhere(one: Try) -> dict[str, Any]:
    return {"channel": lambda channel: channel in (one.channel.id, one.im.id)}


def _hidden(one: Try) -> dict[str, Any]:
    return {
        "files": lambda files: bool(files) and str(files[0]["title"]).startswith(f"{one.code}-"),
        "channel_id": None,
    }


def _shown(one: Try) -> dict[str, Any]:
    return {"channel_id": lambda channel: channel in (one.channel.id, one.im.id)}


STAGES = {
    "the first post, in its channel": Stage("chat.postMessage", _here),
    "the question, in its channel": Stage("chat.postMessage", _here, asks=True),
    "the result, in its channel": Stage("chat.postMessage", _here, "upscaling"),
    "the result, everywhere": Stage("chat.postMessage", _everywhere, "upscaling"),
    "the result, directly": Stage("chat.postMessage", _everywhere, "upscaling", direct=True),
    "the direct message of a private job": Stage("conversations.open", lambda t: {"users": t.user.id}, private=True),
    "an edit of the message": Stage("chat.update", _everywhere, "upscaling", kept=True),
    "an edit of the direct message": Stage("chat.update", _everywhere, "upscaling", direct=True, kept=True),
    "the removal of the message": Stage("chat.delete", _everywhere, "upscaling"),
    "the stream's start": Stage("chat.startStream", _here),
    "the stream's next card": Stage("chat.appendStream", _here, "waiting"),
    "the stream's end": Stage("chat.stopStream", _here, "upscaling"),
    "the upload's first step": Stage("files.getUploadURLExternal", lambda t: {"filename": f"{t.code}-2x.png"}),
    "the upload's last step": Stage("files.completeUploadExternal", _hidden),
    "the full file beside a preview": Stage("files.completeUploadExternal", _shown),
    "the upload's bytes": Stage("upload", lambda t: {"filename": f"{t.code}-2x.png"}),
    "where the picture is": Stage("files.info", lambda t: {"file": t.named(".png")}, unpaid=True),
    "whether the result is ready": Stage("files.info", lambda t: {"file": t.named("-2x.png")}),
    "the word to the member alone": Stage("chat.postEphemeral", _here, forbidden=True),
    "whether the request is still there": Stage("chat.getPermalink", _here),
    "who asks": Stage("users.info", lambda t: {"user": t.user.id}),
}


def tries(world: World, method: str) -> list[Try]:
    """Make a member and a channel for each answer."""
    space, found = world.slack.member.space(), []
    if method == "upload":
        codes = sorted(BYTES)
    else:
        codes = [*sorted(known_errors(method) - REVOKED - {"ratelimited", "rate_limited"}), "never_seen_yet", *PASSING]
    if method == "chat.delete":
        codes.remove("message_not_found")  # gone is what was wanted
    if method == "chat.appendStream":
        codes.remove("stopped_by_user")  # which cancels the job
    for number, code in enumerate(codes):
        user = User(f"U0TRY{number:04}", space.id, f"u-{code}")
        channel = Channel(f"C0TRY{number:04}", space.id, f"c-{code}", "channel", {user.id, space.bot_user_id})
        space.users[user.id], space.channels[channel.id] = user, channel
        im = world.slack.member.im(user.name)
        found.append(Try(code, user, channel, im, files=world.slack.world.files))
    return found


async def ask(world: World, one: Try, stage: Stage) -> None:
    # Slack is asked where a picture is if it had not processed the file when it sent the event.
    ready_at_s = world.slack.clock.now() + (0.1 if stage.unpaid else 0.0)
    picture = world.picture(f"{one.code}.png", user=one.user.name, processed_at_s=ready_at_s)
    if stage.direct:
        await world.slack.member.dm("", [picture], user=one.user.name)
    else:
        words = "private" if stage.private else ""
        await world.slack.member.mention(words, [picture], channel=one.channel.name, user=one.user.name)


def read_by(world: World, one: Try) -> list[Message]:
    """All of our messages that the member sees."""
    member = world.slack.member
    seen = [*member.messages(one.channel.id, one.user.name), *member.messages(one.im.id, one.user.name)]
    return [m for m in seen if m.bot]


@pytest.mark.parametrize("name", STAGES)
async def test_whatever_slack_answers_the_member_reads_the_truth_and_pays_once(wide: World, name: str) -> None:
    world, stage = wide, STAGES[name]
    world.service.link = None
    world.service.ask_above_px = 1 if stage.asks else 10**9
    if stage.kept:
        world.slack.member.space().uploads = "file_uploads_disabled"
    if name == "the full file beside a preview":
        world.media.px = (9000, 64)
    everyone = [one for one in tries(world, stage.method) if not (stage.asks and one.code in MESSAGE_INVALID)]
    await begin(world, stage, everyone)
    if stage.asks:
        await agree(world, everyone)
    rows = world.service.rows.values()
    at_work = lambda row: "upscaling" in row.go or row.job.state.terminal  # noqa: E731
    # Looking for a picture ends after seconds of this clock, which must not run away from a crowded machine.
    await world.until(lambda: all(map(at_work, rows)), move=0.05 if stage.unpaid else 0.5, timeout_s=60)
    if stage.held_until == "upscaling":
        arm(everyone)
    for _ in range(8):  # every message and stream is there, and was edited
        world.slack.clock.advance(2)
        await asyncio.sleep(0.1)
    world.service.release("upscaling")
    await world.until(
        lambda: all(r.job.state.terminal and (r.task is None or r.task.done()) for r in rows), move=2.0, timeout_s=60
    )
    wrong = [(one.code, fault) for one in everyone if (fault := untrue(world, one, unpaid=stage.unpaid))]
    assert not wrong, wrong


async def begin(world: World, stage: Stage, everyone: list[Try]) -> None:
    """Run every member's job up to `stage.held_until`, or to the model."""
    world.service.hold_at = stage.held_until or "upscaling"
    for one in everyone:
        one.fault = world.slack.fault(stage.method, **answered(one.code), match=stage.match(one))
        one.fault.times = 0 if stage.held_until else one.fault.times
        if stage.forbidden:
            world.slack.fault("chat.postMessage", error="not_in_channel", times=999, match=_here(one))
        await ask(world, one, stage)
    rows = world.service.rows
    await world.until(lambda: len(rows) == len(everyone), move=0.05 if stage.unpaid else 0.5)
    for one in everyone:
        one.row = next(row for row in rows.values() if row.job.source.name == f"{one.code}.png")
    if stage.held_until == "waiting":
        await world.until(lambda: all("waiting" in row.go for row in rows.values()), move=0.5, timeout_s=30)
        await world.until(lambda: len(world.slack.calls("chat.startStream")) == len(rows), move=0.5, timeout_s=30)
        arm(everyone)
        world.service.release("waiting", hold_at="upscaling")


def answered(code: str) -> dict[str, Any]:
    return (PASSING | BYTES).get(code, {"error": code, "times": 6 if code in PASSES else 999})


def arm(everyone: list[Try]) -> None:
    """Give the answer to the call from now on."""
    for one in everyone:
        unwrap(one.fault).times = answered(one.code)["times"]


async def agree(world: World, everyone: list[Try]) -> None:
    """Wait until everybody is asked, and confirm."""
    asked = lambda one: [m for m in read_by(world, one) if "job:confirm:" in str(m.blocks)]  # noqa: E731
    await world.until(lambda: all(map(asked, everyone)), move=1.0, timeout_s=30)
    await world.idle()
    for one in everyone:
        assert one.row
        await world.service.confirm(one.row.id, one.row.job.requester)


def untrue(world: World, one: Try, *, unpaid: bool = False) -> str:
    """What is wrong with the end of this job; empty if nothing is."""
    job, seen = unwrap(one.row).job, read_by(world, one)
    said = [text_of(m) for m in seen]
    if unwrap(one.fault).times == answered(one.code)["times"]:
        return "the answer was never met"
    title = {JobState.FAILED: "Upscale failed", JobState.REFUSED: "Not started"}.get(job.state)
    if unpaid and title and job.receipt is None and answered(one.code)["times"] > 9:
        return "" if title in " ".join(said) and "job:cancel:" not in str(seen) else f"failed: {said}"
    if job.state is not JobState.SUCCEEDED or job.receipt is None:
        return f"{job.state}"
    if job.receipt.charged_nanousd != CHARGED_NANOUSD:
        return f"charged {job.receipt.charged_nanousd}"
    if [m for m in seen if "job:cancel:" in str(m.blocks) or (m.stream and m.stream.state == "streaming")]:
        return f"still says that work goes on: {said}"
    shown = [m for m in seen if " is ready" in m.text and "job:again:" in str(m.blocks)]
    if len(shown) > 1:
        return f"shown {len(shown)} times"
    kept = [text for text in said if "could not be delivered" in text and "It is kept" in text and "$0.40" in text]
    if job.delivery is not None and job.delivery.shape == "kept":
        return "" if len(kept) == 1 else f"kept, said {len(kept)} times: {said}"
    return "" if shown and not kept else f"not shown: {said}"


@pytest.mark.parametrize(
    ("method", "private"), [("chat.postMessage", False), ("chat.postMessage", True), ("conversations.open", True)]
)
async def test_a_place_that_takes_nothing_is_known_before_anything_is_paid(
    wide: World, method: str, private: bool
) -> None:
    """Only temporary refusals are waited for."""
    world, asked = wide, {}
    await world.slack.member.mention("", [world.picture()])
    (row,) = await world.until(lambda: list(world.service.rows.values()), move=0.2)
    await world.idle()
    for one in tries(world, method):
        match = _everywhere(one) if method == "chat.postMessage" else {"users": one.user.id}
        world.slack.fault(method, **answered(one.code) | {"times": 999}, match=match)
        data = row.job.reply.data | {"user": one.user.id, "channel": one.channel.id, "private": private}
        job = replace(row.job, reply=ReplyAddress("slack", data | {"thread_ts": ""}))
        asked[one.code] = asyncio.create_task(world.adapter.reply(job.reply, MemoryReplyState({})).reachable(job))
    await world.until(lambda: all(task.done() for task in asked.values()), move=5.0, timeout_s=30)
    assert {code for code, task in asked.items() if task.result()} == (PASSES & set(asked)) | set(PASSING)
