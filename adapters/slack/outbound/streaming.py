"""Slack's native streaming with task cards, in threads, where a workspace and kind of channel allow it.

Whether they do is tried once and remembered. A stream dies after about five minutes (undocumented; python-slack-sdk
#1859, #1880, read 2026-11-22), so it is ended before that. Whatever goes wrong here ends in `Unavailable`, after which
the caller goes on with plain edits: nothing is lost. Holds no results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from adapters.slack.outbound.api_client import SlackApi, Team
from adapters.slack.outbound.errors import SlackAway, SlackError, SlackRefused
from core.domain.job import Job, Progress
from core.ports import AppState, Clock
from core.presentation import job_texts as words
from core.presentation import tr

log = structlog.get_logger(__name__)

AREA = "slack.streams"
LIFE_S = 230.0
START_WAIT_S = 1.5
"""Where the budget of starts is used up (20 a minute), edits do as well."""
RETRY_PROBE_S = 7 * 86_400.0
STAGES = ("preparing", "waiting", "upscaling", "delivering")
NOT_HERE = frozenset(
    {"channel_type_not_supported", "unknown_method", "feature_not_enabled", "missing_recipient_user_id",
     "missing_recipient_team_id", "invalid_arguments", "invalid_chunks", "not_allowed_token_type", "missing_scope",
     "method_not_supported_for_channel_type", "user_not_found"}
)  # fmt: skip


class Unavailable(Exception):
    """No stream (any more); show progress by edits. `maybe_there`: one may have begun, its answer was lost."""

    def __init__(self, *, maybe_there: bool = False) -> None:
        super().__init__()
        self.maybe_there = maybe_there


class StoppedByMember(Exception):
    """The member pressed Stop on the stream."""


@dataclass(frozen=True, slots=True)
class StreamState:
    """Durable: which message streams, since when, and which tasks it has shown."""

    ts: str
    started_at: float
    shown: dict[str, str] = field(default_factory=dict)
    channel: str = ""


class Streams:
    """Knows where streams work, and speaks the three methods."""

    def __init__(self, api: SlackApi, state: AppState, clock: Clock) -> None:
        self._api = api
        self._state = state
        self._clock = clock
        self._known: dict[str, bool] = {}

    async def allowed(self, team: Team, kind: str) -> bool:
        """False where an earlier try was refused, in this process or another, within a week."""
        key = f"{team.team_id}:{kind}"
        if key not in self._known:
            stored = await self._state.get(AREA, key)
            fresh = isinstance(stored, dict) and self._clock.now() - float(stored.get("at", 0)) < RETRY_PROBE_S
            self._known[key] = not fresh
        return self._known[key]

    async def start(
        self,
        team: Team,
        kind: str,
        channel: str,
        thread_ts: str,
        user_id: str,
        job: Job,
        progress: Progress,
        leaving: Callable[[], None] | None = None,
    ) -> StreamState:
        """Begin a stream under `thread_ts`. Raises Unavailable."""
        chunks, shown = task_chunks(job, progress, {})
        try:
            answer = await self._api.call(
                team,
                "chat.startStream",
                progress=True,
                max_wait_s=START_WAIT_S,
                leaving=leaving,
                channel=channel,
                thread_ts=thread_ts,
                recipient_user_id=user_id,
                recipient_team_id=team.team_id,
                task_display_mode="timeline",
                chunks=chunks,
            )
        except SlackRefused as refusal:
            if refusal.error in NOT_HERE:
                await self._remember_refusal(team, kind, refusal.error)
            raise Unavailable from None
        except SlackAway as away:
            raise Unavailable(maybe_there=away.maybe_done) from None
        except SlackError:
            raise Unavailable from None
        return StreamState(str(answer["ts"]), self._clock.now(), shown)

    async def _remember_refusal(self, team: Team, kind: str, error: str) -> None:
        key = f"{team.team_id}:{kind}"
        self._known[key] = False
        await self._state.put(AREA, key, {"at": self._clock.now(), "error": error})
        log.info("slack_streams_not_here", workspace=team.team_id, channel_kind=kind, error=error)

    def old(self, stream: StreamState) -> bool:
        """Whether it must be ended before Slack lets it die."""
        return self._clock.now() - stream.started_at > LIFE_S

    async def append(self, team: Team, channel: str, stream: StreamState, job: Job, progress: Progress) -> StreamState:
        """Show the newest stage. Raises Unavailable, StoppedByMember."""
        chunks, shown = task_chunks(job, progress, stream.shown)
        if not chunks:
            return stream
        try:
            await self._api.call(team, "chat.appendStream", progress=True, channel=channel, ts=stream.ts, chunks=chunks)
        except SlackRefused as refusal:
            if refusal.error == "stopped_by_user":
                raise StoppedByMember from None
            raise Unavailable from None
        except SlackAway as away:
            if away.error == "budget":
                return stream
            raise Unavailable from None
        except SlackError:
            raise Unavailable from None
        return replace(stream, shown=shown)

    async def stop(
        self, team: Team, channel: str, stream: StreamState, job: Job, *, good: bool, output: str = ""
    ) -> bool:
        """End it, with every task in its last state. False when Slack would not: then it is best removed."""
        try:
            await self._api.call(
                team,
                "chat.stopStream",
                max_wait_s=20.0,
                channel=channel,
                ts=stream.ts,
                chunks=last_chunks(job, stream.shown, good=good, output=output),
            )
        except SlackError:
            return False
        return True


def task_id(job: Job, stage: str) -> str:
    """Unique in Slack: a stream whose start was never answered is found by its cards."""
    return f"{job.id}:{stage}"


def task_chunks(job: Job, progress: Progress, shown: dict[str, str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Task updates for what changed since `shown` (task id -> title|status), and the new `shown`."""
    locale = job.requester.locale
    stage = "waiting" if progress.stage == "turn" else progress.stage
    now = STAGES.index(stage)
    new = dict(shown)
    chunks: list[dict[str, Any]] = []
    for number, name in enumerate(STAGES[: now + 1]):
        if number < now and (name in ("waiting",) and name not in shown):
            continue
        done = number < now
        title = _done_title(name, locale) if done else words.stage_text(progress, locale)
        mark = f"{title}|{'complete' if done else 'in_progress'}"
        if new.get(name) == mark:
            continue
        new[name] = mark
        status = "complete" if done else "in_progress"
        chunks.append({"type": "task_update", "id": task_id(job, name), "title": title, "status": status})
    return chunks, new


def last_chunks(job: Job, shown: dict[str, str], *, good: bool, output: str) -> list[dict[str, Any]]:
    """Every task in its last state; the output rides on the last one, sent once.

    A good end shows the whole way, also what went by between two edits; a bad one ends where it was.
    """
    locale = job.requester.locale
    names = [name for name in STAGES if name in shown or (good and name != "waiting")] or ["preparing"]
    chunks: list[dict[str, Any]] = []
    for name in names:
        last = name == names[-1]
        if not last and shown.get(name, "").endswith("|complete"):
            continue
        status = "complete" if good or not last else "error"
        title = _done_title(name, locale) if status == "complete" else shown.get(name, "").split("|")[0]
        chunk = {
            "type": "task_update",
            "id": task_id(job, name),
            "title": title or _done_title(name, locale),
            "status": status,
        }
        if last and output:
            chunk["output"] = output[:256]
        chunks.append(chunk)
    return chunks


def _done_title(stage: str, locale: str) -> str:
    titles = {
        "preparing": tr("Read the image", locale),
        "waiting": tr("Waited for the model", locale),
        "upscaling": tr("Upscaled", locale),
        "delivering": tr("Delivered", locale),
    }
    return titles[stage]
