"""Slack's native streaming with task cards, in threads, if the workspace and kind of channel allow it.

A refusal is remembered for a week. A stream whose start is not answered would stay "in progress" forever, so none is
started where it could not be found again. Slack ends a stream after about five minutes (undocumented; python-slack-sdk
#1859, #1880, read 2026-11-22), so it is replaced before that. After any error the caller falls back to plain edits.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from adapters.slack.outbound.api_client import Team
from adapters.slack.outbound.errors import STREAM_STOPPED, STREAMS_UNSUPPORTED, SlackError, SlackRefused
from adapters.slack.outbound.lost_posts import find_marked, finish_despite_cancel
from adapters.slack.outbound.posting import Mark, Place, Poster, ReplyStateCache
from core.domain.job import Job, Progress
from core.ports import AppState, TypedState
from core.presentation.texts import progress_texts
from core.presentation.texts.progress_texts import Stage, stage_done_text

log = structlog.get_logger(__name__)

AREA = "slack.streams"
STREAM_LIFE_S = 230.0
START_WAIT_S = 1.5
"""If the rate limit of starts (20 a minute) is used up, edits show the progress instead."""
REFUSAL_TTL_S = 7 * 86_400.0
STAGES: tuple[Stage, ...] = ("preparing", "waiting", "upscaling", "delivering")


class StreamSupport:
    """Remembers which workspaces and kinds of channels refused streams within the last week."""

    def __init__(self, state: AppState) -> None:
        self._refusals = TypedState(state, AREA, str, ttl_s=REFUSAL_TTL_S)
        self._allowed: set[str] = set()

    async def allowed(self, team: Team, kind: str) -> bool:
        """False if an earlier attempt was refused, in this process or another."""
        key = f"{team.team_id}:{kind}"
        if key not in self._allowed and await self._refusals.get(key) is None:
            self._allowed.add(key)
        return key in self._allowed

    async def refused(self, team: Team, kind: str, error: str) -> None:
        key = f"{team.team_id}:{kind}"
        self._allowed.discard(key)
        await self._refusals.put(key, error)
        log.info("slack_streams_not_here", workspace=team.team_id, channel_kind=kind, error=error)


@dataclass(frozen=True, slots=True)
class TaskCards:
    """The task cards of one job in its thread. If `start` or `show` returns False, edits must show the progress.

    The note `stream` stores the streamed message, its channel, when it started, and the tasks that it shows.
    """

    poster: Poster
    notes: ReplyStateCache
    probe: StreamSupport
    stop_job: Callable[[Job], Awaitable[object]]
    """Called when the member presses Stop on the stream."""

    async def is_supported_here(self) -> bool:
        place = await self.poster.place()
        findable = bool(place.thread_ts) and self.poster.can_find_posts(place)
        return findable and await self.probe.allowed(self.poster.team, place.kind)

    async def running(self) -> bool:
        return bool(await self.notes.get("stream"))

    async def start(self, job: Job, progress: Progress) -> bool:
        place, team = await self.poster.place(), self.poster.team
        if place.moved or not place.thread_ts:
            return False
        chunks, shown = task_chunks(job, progress, {})
        args: dict[str, Any] = {
            "channel": place.channel, "thread_ts": place.thread_ts, "recipient_user_id": self.poster.user_id,
            "recipient_team_id": team.team_id, "task_display_mode": "timeline", "chunks": chunks,
            "progress": True, "max_wait_s": START_WAIT_S, "before_send": self.poster.check_ownership,
        }  # fmt: skip
        noted = {"started_at": self.poster.now(), "shown": shown, "channel": place.channel}
        await self.notes.save(stream_sought={"at": self.poster.now(), "place": asdict(place)})
        try:
            await finish_despite_cancel(
                lambda on_sending: self.poster.api.call(team, "chat.startStream", on_sending=on_sending, **args),
                lambda answer: self.notes.record(stream={"ts": str(answer["ts"]), **noted}, stream_sought=None),
                lambda: self.notes.record(stream_sought=None),
            )
        except SlackError as error:
            if isinstance(error, SlackRefused) and error.error in STREAMS_UNSUPPORTED:
                await self.probe.refused(team, place.kind, error.error)
            return False
        return True

    async def show(self, job: Job, progress: Progress) -> bool:
        """Show the current stage, in a new stream if the old one reaches Slack's time limit."""
        stream = await self.notes.get("stream")
        if self.poster.now() - stream["started_at"] > STREAM_LIFE_S:
            await self.remove(job)
            return await self.start(job, progress)
        place = await self._place_of(stream)
        chunks, shown = task_chunks(job, progress, stream["shown"])
        if not chunks:
            return True
        args = {"channel": place.channel, "ts": stream["ts"], "chunks": chunks}
        try:
            await self.poster.api.call(self.poster.team, "chat.appendStream", progress=True, **args)
        except SlackError as error:
            if error.error == "budget":
                return True
            await self.notes.record(stream=None)
            # Slack has ended or lost the stream, which would stay "in progress" forever.
            await self.poster.remove(place, stream["ts"])
            if error.error != STREAM_STOPPED:
                return False
            await self.stop_job(job)
            return True
        await self.notes.record(stream=stream | {"shown": shown})
        return True

    async def remove(self, job: Job) -> None:
        """End the stream and remove its message: another one follows, or nothing is done while a price is asked."""
        if stream := await self.notes.get("stream"):
            place = await self._place_of(stream)
            await self._stop(place, stream, job, succeeded=True)
            await self.poster.remove(place, stream["ts"])
            await self.notes.record(stream=None)

    async def end(self, job: Job, *, succeeded: bool, output: str = "") -> None:
        """Show every task's final state and end the stream; if Slack refuses, or its start was lost, remove it."""
        if sought := await self.notes.get("stream_sought"):
            lost_in = Place(**sought["place"])
            if ts := await find_marked(self.poster, Mark(job.id, "stream"), sought["at"], lost_in):
                await self.poster.remove(lost_in, ts)
            await self.notes.record(stream_sought=None)
        if stream := await self.notes.get("stream"):
            place = await self._place_of(stream)
            stopped = await self._stop(place, stream, job, succeeded=succeeded, output=output)
            if not stopped or await self.notes.get("left_gone"):
                await self.poster.remove(place, stream["ts"])
            await self.notes.record(stream=None)

    async def _place_of(self, stream: dict[str, Any]) -> Place:
        """Return where a stream is; releases before 0.2 recorded no channel."""
        return Place(stream.get("channel") or (await self.poster.place()).channel)

    async def _stop(self, place: Place, stream: dict[str, Any], job: Job, *, succeeded: bool, output: str = "") -> bool:
        chunks = last_chunks(job, stream["shown"], succeeded=succeeded, output=output)
        args = {"channel": place.channel, "ts": stream["ts"], "chunks": chunks}
        return not await self.poster.api.attempt(self.poster.team, "chat.stopStream", max_wait_s=20.0, **args)


def task_chunks(job: Job, progress: Progress, shown: dict[str, str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Updates of the tasks that changed since `shown` (task id -> title|status), and the new `shown`."""
    locale = job.requester.locale
    stage: Stage = "waiting" if progress.stage == "turn" else progress.stage
    new, chunks = dict(shown), []
    for name in STAGES[: STAGES.index(stage) + 1]:
        if name == "waiting" and name not in (stage, *shown):
            continue
        title, status = progress_texts.stage_text(progress, locale), "in_progress"
        if name != stage:
            title, status = stage_done_text(name, locale), "complete"
        if new.get(name) != f"{title}|{status}":
            new[name] = f"{title}|{status}"
            chunks.append(_update(job, name, title, status))
    return chunks, new


def _update(job: Job, stage: Stage, title: str, status: str) -> dict[str, Any]:
    """The id contains the job's, so that a stream whose start was not answered can be found by its cards."""
    return {"type": "task_update", "id": f"{job.id}:{stage}", "title": title, "status": status}


def last_chunks(job: Job, shown: dict[str, str], *, succeeded: bool, output: str) -> list[dict[str, Any]]:
    """Every task's final state; the last one carries `output`.

    A success also shows the stages that passed between two edits; a failure ends at the current stage.
    """
    locale = job.requester.locale
    names: list[Stage] = [name for name in STAGES if name in shown or (succeeded and name != "waiting")] or [
        "preparing"
    ]
    chunks: list[dict[str, Any]] = []
    for name in names:
        last = name == names[-1]
        if not last and shown.get(name, "").endswith("|complete"):
            continue
        status = "complete" if succeeded or not last else "error"
        title = stage_done_text(name, locale) if status == "complete" else shown.get(name, "").split("|")[0]
        chunks.append(_update(job, name, title or stage_done_text(name, locale), status))
    return [*chunks[:-1], chunks[-1] | {"output": output[:256]}] if output else chunks
