"""The message of one job, from its stored address and notes. Web API only, so that any process can edit it.

In a channel or direct message the message is edited while the job runs; in a thread, if Slack allows it, native task
cards show the stages. The progress message is removed once the image is posted, so that one message per job remains.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Any, Self

import structlog

from adapters.slack.outbound import errors
from adapters.slack.outbound.delivery import Deliverer
from adapters.slack.outbound.lost_posts import find_root, finish_despite_cancel, post_once
from adapters.slack.outbound.posting import Mark, Place, Poster, ReplyStateCache
from adapters.slack.outbound.streaming import TaskCards
from adapters.slack.views import messages as render
from adapters.slack.views.blocks import Content
from adapters.slack.views.card import draw
from core.domain.job import Delivery, Job, Progress
from core.domain.limits import LimitStatus
from core.presentation import Notice, plain_card
from core.presentation.texts import result_texts
from core.presentation.texts.delivery_texts import lost_text

log = structlog.get_logger(__name__)

SLOW_DELIVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class SlackReply:
    _poster: Poster
    _notes: ReplyStateCache
    _deliverer: Deliverer
    _cards: TaskCards
    _final_edit_only: bool = False

    def final_edit_only(self) -> Self:
        return replace(self, _final_edit_only=True)

    async def ask(self, job: Job) -> None:
        with errors.as_delivery_errors():
            await self._post_or_edit_root(job, render.question(job), required=True)
            await self._cards.remove(job)
            await self._notes.record(asked=True)

    async def progress(self, job: Job, progress: Progress) -> None:
        """Make at most one edit; the first call, and the first after a question, also starts a stream."""
        with errors.as_delivery_errors():
            root = await find_root(self._poster, self._notes, job.id, now=False)
            if not root or await self._notes.get("asked"):
                await self._notes.record(asked=None)
                await self._begin(job, progress)
            elif not await self._cards.running() or not await self._cards.show(job, progress):
                await self._edit_progress(job, progress)
            elif progress.eta_at and await self._cards.running() and not await self._notes.get("finish_time_shown"):
                # Task cards cannot show a time in the member's own zone, so the message above them does.
                await self._notes.record(finish_time_shown=True)
                await self._edit_progress(job, progress, streamed=True)

    async def finished(self, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
        """Post the image in a new message, then remove the progress message and end the stream."""
        with errors.as_delivery_errors():
            showing = asyncio.create_task(self._show_delivering(job))
            try:
                delivery = await self._deliverer.deliver(job, left)
            finally:
                showing.cancel()
                await asyncio.gather(showing, return_exceptions=True)
            await self._cards.end(job, succeeded=True, output=result_texts.size_line(job, job.requester.locale))
            await self._remove_root(job)
        return delivery

    async def _show_delivering(self, job: Job) -> None:
        """Show this stage if it takes long: its edit by the core is dropped if the one before was a moment ago."""
        await self._poster.clock.sleep(SLOW_DELIVERY_S)
        if (await self._notes.get("root") or {}).get("ts"):
            await self.progress(job, Progress("delivering"))

    async def failed(self, job: Job, notice: Notice) -> None:
        """Report the failure in the job's message, or only to the requester if nothing was posted yet."""
        with errors.as_delivery_errors():
            await self._report_failure(job, render.failure(job, notice))
        await self._cards.end(job, succeeded=False)

    async def closed(self, job: Job, notice: Notice) -> None:
        content = render.closed(job, notice)
        kept = job.delivery is None or not job.delivery.elsewhere
        with errors.as_delivery_errors():
            if not await self._close_moved_message(content, kept=kept) and kept:
                await self._report_failure(job, content)
        await self._cards.end(job, succeeded=False)

    async def reachable(self, job: Job) -> bool:
        """Whether the job's message can be posted in its place or a direct message; the job goes on there."""
        try:
            if await self._notes.get("root"):
                await self._poster.move_to_direct(job.requester.locale, errors.MESSAGE_GONE)
            await self._post_or_edit_root(job, render.working(job, Progress("waiting")), required=True)
        except errors.SlackError as error:
            if errors.is_permanent(error):
                return False
            log.info("slack_place_unclear", job=job.id, error=error.error)
        return True

    async def _begin(self, job: Job, progress: Progress) -> None:
        streamed = await self._cards.is_supported_here()
        await self._post_or_edit_root(job, render.working(job, progress, streamed=streamed))
        if streamed and not await self._cards.start(job, progress):
            await self._edit_progress(job, progress)

    async def _edit_progress(self, job: Job, progress: Progress, *, streamed: bool = False) -> None:
        root = await self._notes.get("root")
        if root and root.get("ts"):
            await self._edit_root(job, root, render.working(job, progress, streamed=streamed), progress=True)

    async def _edit_root(
        self, job: Job, root: dict[str, Any], content: Content, *, required: bool = False, progress: bool = False
    ) -> None:
        """Edit the job's message; where edits are forbidden, replace it if the member must see `content`."""
        place, ts = Place(root["channel"]), root["ts"]
        try:
            await self._poster.edit(place, ts, content, progress=progress)
        except errors.SlackRefused as refusal:
            if refusal.error not in errors.EDITS_FORBIDDEN:
                raise
            if required and await self._poster.remove(place, ts):
                await self._notes.record(root=None)
                await self._post_or_edit_root(job, content, required=True, editable=False)

    async def _post_or_edit_root(
        self, job: Job, content: Content, *, required: bool = False, editable: bool = True
    ) -> None:
        """Post the job's message, or edit the existing one.

        A post whose answer was lost is not repeated, unless the member must see the message (`required`). If a lost
        post could not be found here, the first post has a text that stays true, and is edited at once.
        """
        root = await find_root(self._poster, self._notes, job.id, now=required)
        if root and root.get("ts"):
            await self._edit_root(job, root, content, required=required, progress=not required)
            return
        if root and not required:
            return
        findable = self._poster.can_find_posts(await self._poster.place())
        as_is = findable or not editable
        first = content if as_is else render.arrived(job)
        await self._notes.save(root={"ts": "", "at": self._poster.now(), "findable": findable})

        async def keep(ts: str) -> None:
            await self._notes.record(root={"ts": ts, "channel": (await self._poster.place()).channel})

        mark, locale = Mark(job.id, "root"), job.requester.locale
        await finish_despite_cancel(
            lambda on_sending: self._poster.post(
                lambda _: first, locale, mark, progress=not required, since=job.created_at, on_sending=on_sending
            ),
            keep,
            lambda: self._notes.record(root=None),
        )
        if not as_is and (root := await self._notes.get("root")):
            await self._edit_root(job, root, content, required=required)

    async def _remove_root(self, job: Job) -> None:
        """Remove the progress message; if Slack refuses, edit it so that it no longer shows progress."""
        root = await find_root(self._poster, self._notes, job.id, now=True)
        if root and not root.get("ts"):
            await self._report_lost_root(job)
        removed = await self._notes.get("root_removed") and not self._final_edit_only
        if not root or not root.get("ts") or removed:
            return
        if not await self._poster.remove(Place(root["channel"]), root["ts"]):
            await self._try_edit(root, render.done(job))
        await self._notes.record(root_removed=True)

    async def _close_moved_message(self, content: Content, *, kept: bool) -> bool:
        """Edit the message that the job left when it moved to a direct message; True if it now shows `content`.

        If the request was deleted and the member gets the result elsewhere, the message is removed instead.
        """
        left = await self._notes.get("left")
        if not left:
            return False
        if await self._notes.get("left_gone") and not kept:
            await self._poster.remove(Place(left["channel"]), left["ts"])
            return False
        return await self._try_edit(left, content)

    async def _report_failure(self, job: Job, content: Content) -> None:
        """Edit the job's message; if that fails, post a new one; if that fails, too, tell only the requester."""
        already_reported = bool(await self._notes.get("failure_said"))
        if already_reported and not self._final_edit_only:
            return
        root = await find_root(self._poster, self._notes, job.id, now=True)
        if root and root.get("ts"):
            if not await self._try_edit(root, content) and not already_reported:
                await self._report_in_new_message(job, content, known=True)
        elif already_reported:
            return
        elif not await self._poster.answer(content):
            await self._report_in_new_message(job, content, known=False)
        if root and not root.get("ts"):
            await self._report_lost_root(job)
        await self._notes.record(failure_said=True)

    async def _report_lost_root(self, job: Job) -> None:
        """Tell the member about a lost message that the bot cannot find: the member can remove it."""
        root = await self._notes.get("root") or {}
        if root.get("findable", True) and not await self._notes.get("lost_told"):
            await self._notes.record(lost_told=True)
            await self._poster.send_ephemeral(draw(plain_card(lost_text(job.requester.locale))))

    async def _report_in_new_message(self, job: Job, content: Content, *, known: bool) -> None:
        try:
            if known and not (await self._poster.place()).direct:
                # The message was deleted, or the channel closed: post nothing more in public.
                await self._poster.move_to_direct(job.requester.locale, errors.MESSAGE_GONE)
            mark, locale = Mark(job.id, "failure"), job.requester.locale
            await post_once(
                self._poster, self._notes, mark, lambda mark: self._poster.post(lambda _: content, locale, mark)
            )
        except errors.SlackRefused:
            if not await self._poster.send_ephemeral(content):
                raise

    async def _try_edit(self, root: dict[str, Any], content: Content) -> bool:
        """Edit the message; if Slack refuses, remove it and return False."""
        place = Place(root["channel"])
        try:
            await self._poster.edit(place, root["ts"], content)
        except errors.SlackRefused as refusal:
            log.info("slack_message_not_closed", error=refusal.error)
            await self._poster.remove(place, root["ts"])
            return False
        return True
