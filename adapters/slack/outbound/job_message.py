"""The one message of one job, from its stored address and notes. Web API only, so that any process can carry it on.

In a channel or direct message the message is edited as the job goes on; in a thread, where Slack allows it, native
task cards show the stages. When the picture is there, the progress message goes away: one message per job remains.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Any

import structlog

from adapters.slack.outbound.delivery import Deliverer
from adapters.slack.outbound.errors import SlackAway, SlackError, SlackRefused, delivery_error, never_will
from adapters.slack.outbound.lost_posts import noted_root, post_once, remove_lost_stream
from adapters.slack.outbound.posting import Mark, Place, Poster, ReplyStateCache
from adapters.slack.outbound.shielded_call import see_through
from adapters.slack.outbound.streaming import StoppedByMember, Streams, StreamState, Unavailable
from adapters.slack.views import job as render
from adapters.slack.views.blocks import Content
from core.domain.job import Delivery, Job, Progress
from core.domain.limits import LimitStatus
from core.presentation import Notice
from core.presentation import job_texts as words

log = structlog.get_logger(__name__)


class SlackReply:
    """Implements `core.ports.Reply`. `stop_job` is called when the member presses Stop on the stream."""

    def __init__(
        self,
        poster: Poster,
        notes: ReplyStateCache,
        deliverer: Deliverer,
        streams: Streams,
        stop_job: Callable[[Job], Awaitable[None]],
    ) -> None:
        self._poster = poster
        self._notes = notes
        self._deliverer = deliverer
        self._streams = streams
        self._stop_job = stop_job

    async def ask(self, job: Job) -> None:
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
            await self._end_stream(job, good=True, output=words.size_line(job, job.requester.locale))
            await self._remove_root(job)
        except SlackError as error:
            raise delivery_error(error) from None
        return delivery

    async def failed(self, job: Job, notice: Notice) -> None:
        """The last word, in the job's message, or only to the requester where nothing was posted yet."""
        content = render.failure(job, notice)
        try:
            await self._say_failure(job, content)
        except SlackError as error:
            raise delivery_error(error) from None
        await self._end_stream(job, good=False, output="")

    async def closed(self, job: Job, notice: Notice) -> None:
        content = render.closed(job, notice)
        try:
            kept = job.delivery is None or not job.delivery.elsewhere
            if not await self._close_left(content, kept=kept) and kept:
                await self._say_failure(job, content)
        except SlackError as error:
            raise delivery_error(error) from None
        await self._end_stream(job, good=False, output="")

    async def reachable(self, job: Job) -> bool:
        """Whether the place, or else a direct message, takes the job's message; it goes on there."""
        try:
            if await self._notes.get("root"):
                await self._poster.move_to_direct(job.requester.locale, "message_not_found")
            await self._put_root(job, render.working(job, Progress("waiting")), sure=True)
        except SlackError as error:
            if never_will(error):
                return False
            log.info("slack_place_unclear", job=job.id, error=error.error)
        return True

    async def _progress(self, job: Job, progress: Progress) -> None:
        root = await noted_root(self._poster, self._notes, job.id, now=False)
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
        await self._notes.put(stream_sought={"at": self._poster.now(), "place": asdict(place)})
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
                lambda stream: self._notes.put(
                    stream=asdict(replace(stream, channel=place.channel)), stream_sought=None
                ),
                lambda: self._notes.put(stream_sought=None),
            )
        except Unavailable as none:
            if not none.maybe_there:
                await self._notes.put(stream_sought=None)
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

    async def _put_root(self, job: Job, content: Content, *, sure: bool = False) -> None:
        """Post the job's message, or edit the one that is there.

        A post whose answer was lost is not repeated, so that nothing is posted twice; `sure` does so all the same,
        for what the member must be able to answer.
        """
        root = await noted_root(self._poster, self._notes, job.id, now=sure)
        if root and root.get("ts"):
            await self._edit_root(root, content, progress=not sure)
            return
        if root and not sure:
            return
        await self._notes.put(root={"ts": "", "at": self._poster.now()})
        try:
            await see_through(
                lambda leaving: self._poster.post(
                    content,
                    locale=job.requester.locale,
                    mark=Mark(job.id, "root"),
                    progress=not sure,
                    leaving=leaving,
                ),
                lambda posted: self._notes.put(root={"ts": posted[1], "channel": posted[0].channel}),
                lambda: self._notes.put(root=None),
            )
        except SlackError as error:
            if not (isinstance(error, SlackAway) and error.maybe_done):
                await self._notes.put(root=None)
            raise

    async def _edit_root(self, root: dict[str, Any], content: Content, *, progress: bool = True) -> None:
        await self._poster.edit(Place(root["channel"]), root["ts"], content, progress=progress)

    async def _remove_root(self, job: Job) -> None:
        """The progress message goes; where Slack keeps it, it no longer says that work goes on."""
        root = await noted_root(self._poster, self._notes, job.id, now=True)
        if not root or not root.get("ts") or await self._notes.get("root_removed"):
            return
        if not await self._poster.remove(Place(root["channel"]), root["ts"]):
            await self._edited(root, render.done(job))
        await self._notes.put(root_removed=True)

    async def _close_left(self, content: Content, *, kept: bool) -> bool:
        """Close the message that the job left behind when it moved; True where the words now stand there.

        Of a deleted request nothing stays in public, as long as the member can be told elsewhere.
        """
        left = await self._notes.get("left")
        if not left:
            return False
        if await self._notes.get("left_gone") and not kept:
            await self._poster.remove(Place(left["channel"]), left["ts"])
            return False
        return await self._edited(left, content)

    async def _say_failure(self, job: Job, content: Content) -> None:
        """Into the job's message; where that cannot be edited, in a new one; at last only to the requester."""
        if await self._notes.get("failure_said"):
            return
        root = await noted_root(self._poster, self._notes, job.id, now=True)
        if root and root.get("ts"):
            if not await self._edited(root, content):
                await self._say_anew(job, content, known=True)
        elif not await self._poster.answer(content):
            await self._say_anew(job, content, known=False)
        await self._notes.put(failure_said=True)

    async def _say_anew(self, job: Job, content: Content, *, known: bool) -> None:
        try:
            if known and not (await self._poster.place()).direct:
                # Somebody deleted our message, or closed the place: nothing more in public.
                await self._poster.move_to_direct(job.requester.locale, "message_not_found")
            await post_once(
                self._poster,
                self._notes,
                Mark(job.id, "failure"),
                lambda mark: self._poster.post(content, locale=job.requester.locale, mark=mark),
            )
        except SlackRefused:
            if not await self._poster.whisper(content):
                raise

    async def _edited(self, root: dict[str, Any], content: Content) -> bool:
        """Whether the message could be edited; one that cannot be is taken away where Slack lets us."""
        place = Place(root["channel"])
        try:
            await self._poster.edit(place, root["ts"], content)
        except SlackRefused as refusal:
            log.info("slack_message_not_closed", error=refusal.error)
            await self._poster.remove(place, root["ts"])
            return False
        return True

    async def _stream(self) -> StreamState | None:
        noted = await self._notes.get("stream")
        return StreamState(**noted) if isinstance(noted, dict) else None

    async def _end_stream(self, job: Job, *, good: bool, output: str) -> None:
        await remove_lost_stream(self._poster, self._notes, job.id)
        stream = await self._stream()
        if stream is None:
            return
        place = await self._poster.place()
        channel = stream.channel or place.channel
        stopped = await self._streams.stop(self._poster.team, channel, stream, job, good=good, output=output)
        if not stopped or await self._notes.get("left_gone"):
            await self._poster.remove(Place(channel), stream.ts)
        await self._notes.put(stream=None)
