"""The one message of one job, from its stored address and notes. Web API only, so that any process can carry it on.

In a channel or direct message the message is edited as the job goes on; in a thread, where Slack allows it, native
task cards show the stages. When the picture is there, the progress message goes away: one message per job remains.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict

import structlog

from adapters.slack.outbound.delivery import Deliverer
from adapters.slack.outbound.errors import SlackAway, SlackError, SlackRefused, delivery_error
from adapters.slack.outbound.posting import Notebook, Place, Poster
from adapters.slack.outbound.shielded_call import see_through
from adapters.slack.outbound.streaming import StoppedByMember, Streams, StreamState, Unavailable
from adapters.slack.views import job as render
from adapters.slack.views.blocks import Content
from core.domain.errors import DeliveryRefused
from core.domain.job import Delivery, Job, Progress
from core.domain.limits import LimitStatus
from core.presentation import Charge, Notice, explain
from core.presentation import job_texts as words

log = structlog.get_logger(__name__)

GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})


async def _nothing() -> None:
    """A stream that never began needs no note."""


class SlackReply:
    """Implements `core.ports.Reply`. `stop_job` is called when the member presses Stop on the stream."""

    def __init__(
        self,
        poster: Poster,
        notes: Notebook,
        deliverer: Deliverer,
        streams: Streams,
        stop_job: Callable[[Job], Awaitable[None]],
    ) -> None:
        self._poster = poster
        self._notes = notes
        self._deliverer = deliverer
        self._streams = streams
        self._stop_job = stop_job

    # -------------------------------------------------------------------- the port

    async def ask(self, job: Job) -> None:
        """The price, on a button."""
        try:
            await self._put_root(job, render.question(job), sure=True)
        except SlackError as error:
            raise delivery_error(error) from None

    async def progress(self, job: Job, progress: Progress) -> None:
        """At most one edit (the first time: the message itself, and its stream)."""
        try:
            await self._progress(job, progress)
        except SlackError as error:
            raise delivery_error(error) from None

    async def finished(self, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
        """The picture in a new message; then the progress message and the stream end."""
        try:
            delivery = await self._deliverer.deliver(job, left)
        except SlackError as error:
            known = delivery_error(error)
            if isinstance(known, DeliveryRefused) and known.reason != "revoked":
                await self._say_kept(job, known)
            raise known from None
        await self._end_stream(job, good=True, output=words.size_line(job, job.requester.locale))
        await self._remove_root()
        return delivery

    async def failed(self, job: Job, notice: Notice) -> None:
        """The last word, in the job's message, or only to the requester where nothing was posted yet."""
        content = render.failure(job, notice)
        try:
            await self._say_failure(job, content)
        except SlackError as error:
            raise delivery_error(error) from None
        await self._end_stream(job, good=False, output="")

    # -------------------------------------------------------------------- progress

    async def _progress(self, job: Job, progress: Progress) -> None:
        root = await self._notes.get("root")
        stream = await self._stream()
        if not root:
            await self._first(job, progress)
        elif stream is not None:
            await self._through_stream(job, progress, stream)
        elif root.get("ts"):
            await self._edit_root(root, render.working(job, progress))

    async def _first(self, job: Job, progress: Progress) -> None:
        """Post the message; in a thread also start the stream under it."""
        place = await self._poster.place()
        wants_stream = bool(place.thread_ts) and await self._streams.allowed(self._poster.team, place.kind)
        await self._put_root(job, render.working(job, progress, streamed=wants_stream))
        if wants_stream:
            await self._start_stream(job, progress)

    async def _start_stream(self, job: Job, progress: Progress) -> None:
        place = await self._poster.place()
        if place.moved or not place.thread_ts:
            return
        try:
            await see_through(
                lambda leaving: self._streams.start(
                    self._poster.team,
                    place.kind,
                    place.channel,
                    place.thread_ts,
                    self._poster.user_id,
                    job,
                    progress,
                    leaving,
                ),
                lambda stream: self._notes.put(stream=asdict(stream)),
                _nothing,
            )
        except Unavailable:
            await self._fall_back(job, progress)

    async def _through_stream(self, job: Job, progress: Progress, stream: StreamState) -> None:
        place = await self._poster.place()
        try:
            if self._streams.old(stream):
                await self._rotate(job, progress, stream)
                return
            newer = await self._streams.append(self._poster.team, place.channel, stream, job, progress)
        except StoppedByMember:
            await self._notes.put(stream=None)
            await self._stop_job(job)
            return
        except Unavailable:
            # Slack let it die, or lost it: it would stay "in progress" for ever, so it goes.
            await self._poster.remove(place, stream.ts)
            await self._fall_back(job, progress)
            return
        if newer is not stream:
            await self._notes.put(stream=asdict(newer))
        await self._show_finish_time(job, progress)

    async def _show_finish_time(self, job: Job, progress: Progress) -> None:
        """Task cards cannot show a time in the member's own zone, so the message above them does, once it is known."""
        if progress.eta_at is None or await self._notes.get("finish_time_shown"):
            return
        root = await self._notes.get("root")
        if root and root.get("ts"):
            await self._notes.put(finish_time_shown=True)
            await self._edit_root(root, render.working(job, progress, streamed=True))

    async def _rotate(self, job: Job, progress: Progress, stream: StreamState) -> None:
        """End the stream before Slack's own limit and go on in a fresh one; the old one leaves no trace."""
        place = await self._poster.place()
        await self._streams.stop(self._poster.team, place.channel, stream, job, good=True)
        await self._poster.remove(place, stream.ts)
        await self._notes.put(stream=None)
        await self._start_stream(job, progress)

    async def _fall_back(self, job: Job, progress: Progress) -> None:
        """From here on by edits of the message."""
        await self._notes.put(stream=None)
        root = await self._notes.get("root")
        if root and root.get("ts"):
            await self._edit_root(root, render.working(job, progress))

    # -------------------------------------------------------------------- the root

    async def _put_root(self, job: Job, content: Content, *, sure: bool = False) -> None:
        """Post the job's message, or edit the one that is there.

        A post whose answer was lost is not repeated, so that nothing is posted twice; `sure` does so all the same,
        for what the member must be able to answer.
        """
        root = await self._notes.get("root")
        if root and root.get("ts"):
            await self._edit_root(root, content, progress=not sure)
            return
        if root and not sure:
            return
        await self._notes.put(root={"ts": ""})
        try:
            await see_through(
                lambda leaving: self._poster.post(
                    content, locale=job.requester.locale, progress=not sure, leaving=leaving
                ),
                lambda posted: self._notes.put(root={"ts": posted[1], "channel": posted[0].channel}),
                lambda: self._notes.put(root=None),
            )
        except SlackAway as away:
            if not away.maybe_done:
                await self._notes.put(root=None)
            raise
        except SlackError:
            await self._notes.put(root=None)
            raise

    async def _edit_root(self, root: dict[str, str], content: Content, *, progress: bool = True) -> None:
        await self._poster.edit(Place(root["channel"]), root["ts"], content, progress=progress)

    async def _remove_root(self) -> None:
        root = await self._notes.get("root")
        if root and root.get("ts") and not await self._notes.get("root_removed"):
            await self._notes.put(root_removed=await self._poster.remove(Place(root["channel"]), root["ts"]))

    async def _say_failure(self, job: Job, content: Content) -> None:
        root = await self._notes.get("root")
        if await self._notes.get("failure_said"):
            return
        if root and root.get("ts"):
            try:
                await self._poster.edit(Place(root["channel"]), root["ts"], content)
                await self._notes.put(failure_said=True)
                return
            except SlackRefused as refusal:
                if refusal.error not in GONE:
                    raise
        elif await self._poster.whisper(content):
            await self._notes.put(failure_said=True)
            return
        await self._poster.post(content, locale=job.requester.locale)
        await self._notes.put(failure_said=True)

    async def _say_kept(self, job: Job, refusal: DeliveryRefused) -> None:
        """No way of showing the picture is left: the member is told that it is kept, and what it cost."""
        charged = job.receipt.charged_nanousd if job.receipt is not None else 0
        locale = job.requester.locale
        said = explain(refusal, locale, reference=job.reference, charge=Charge(charged))
        try:
            await self._say_failure(job, render.notice(said, locale, name=render.file_name(job)))
        except SlackError as error:
            log.info("slack_kept_not_told", job=job.id, error=error.error)
        await self._end_stream(job, good=False, output="")

    # ------------------------------------------------------------------ the stream

    async def _stream(self) -> StreamState | None:
        noted = await self._notes.get("stream")
        return StreamState(**noted) if isinstance(noted, dict) else None

    async def _end_stream(self, job: Job, *, good: bool, output: str) -> None:
        stream = await self._stream()
        if stream is None:
            return
        place = await self._poster.place()
        if not await self._streams.stop(self._poster.team, place.channel, stream, job, good=good, output=output):
            await self._poster.remove(place, stream.ts)
        await self._notes.put(stream=None)
