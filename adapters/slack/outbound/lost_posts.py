"""A message whose post was never answered is found again by its mark: none stays behind, none comes twice.

A request that has left is seen through though its caller is cancelled: its message would hang about for ever.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

from adapters.slack.outbound.errors import SlackError, SlackUnavailable
from adapters.slack.outbound.posting import Mark, Place, Poster, ReplyStateCache

T = TypeVar("T")

log = structlog.get_logger(__name__)

CANCEL_GRACE_S = 3.0
"""How long a cancelled caller still waits for the answer to a request that has left. Usually a tenth of a second."""
VISIBLE_WITHIN_S = 20.0
"""A post that Slack shows to nobody so long after its answer was lost has not been made."""


async def find_root(poster: Poster, notes: ReplyStateCache, job_id: str, *, now: bool) -> dict[str, Any] | None:
    """The job's message as noted; looked for once while the job goes on, and again when it matters (`now`).

    None: it is surely not there. Without `ts`: nobody knows, because its channel may not be read.
    """
    root: dict[str, Any] | None = await notes.get("root")
    if not root or root.get("ts") or not root.get("at") or (root.get("sought") and not now):
        return root
    age_s = poster.now() - root["at"]
    if age_s < VISIBLE_WITHIN_S and not now:
        return root
    try:
        ts = await poster.find(Mark(job_id, "root"), root["at"], await poster.place())
    except SlackError as error:
        log.info("slack_lost_message_not_sought", job=job_id, error=error.error)
        await notes.record(root=root | {"sought": True})
        return root
    if ts:
        root = {"ts": ts, "channel": (await poster.place()).channel}
    else:
        root = root | {"sought": True} if age_s < VISIBLE_WITHIN_S else None
    await notes.record(root=root)
    return root


async def post_once(
    poster: Poster,
    notes: ReplyStateCache,
    mark: Mark,
    post: Callable[[Mark], Awaitable[str]],
    *,
    place: Place | None = None,
    find_by_file: Callable[[], Awaitable[str | None]] | None = None,
) -> None:
    """`post`, unless an earlier try arrived although its answer was lost. Raises SlackError.

    It is looked for in `place` by its mark, then by `find_by_file`, which says its ts.
    """
    name = mark.part if mark.part == "result" else f"posted_{mark.part}"
    earlier = await notes.get(name) or {}
    if earlier.get("ts") or earlier.get("done"):
        return
    at, ts = poster.now(), None
    if earlier.get("at"):
        ts = await find_marked(poster, mark, earlier["at"], place or await poster.place())
    if earlier and not ts and find_by_file is not None:
        ts = await find_by_file()
    if not ts:
        await notes.save(**{name: {"at": at, "ts": ""}})
        try:
            ts = await post(mark)
        except SlackError as error:
            if not (isinstance(error, SlackUnavailable) and error.may_have_succeeded):
                await notes.record(**{name: None})
            raise
    await notes.record(**{name: {"at": at, "ts": ts, "channel": (place or await poster.place()).channel}})


async def find_marked(poster: Poster, mark: Mark, since_unix_s: float, place: Place) -> str | None:
    """The ts of a marked message; None also where nobody can say, because the channel may not be read."""
    try:
        return await poster.find(mark, since_unix_s, place)
    except SlackError as error:
        log.info("slack_lost_message_not_sought", job=mark.job, part=mark.part, error=error.error)
        return None


async def finish_despite_cancel(
    start: Callable[[Callable[[], None]], Coroutine[Any, Any, T]],
    on_answer: Callable[[T], Awaitable[None]],
    on_not_sent: Callable[[], Awaitable[None]],
) -> T:
    """Run `start` (it calls what it is given when the request leaves) and `on_answer` its answer, also when cancelled.

    Cancelled before the request left, it is dropped and `on_not_sent` is called. The cancellation goes on in any case.
    """
    left = False

    def on_sending() -> None:
        nonlocal left
        left = True

    task = asyncio.get_running_loop().create_task(start(on_sending))
    try:
        answer = await asyncio.shield(task)
    except asyncio.CancelledError:
        if left:
            await asyncio.wait({task}, timeout=CANCEL_GRACE_S)
        if task.done() and not task.cancelled() and task.exception() is None:
            await on_answer(task.result())
        else:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if not left:
                await on_not_sent()
        raise
    finally:
        del task  # else its error, this frame and it keep each other until a garbage collection
    await on_answer(answer)
    return answer
