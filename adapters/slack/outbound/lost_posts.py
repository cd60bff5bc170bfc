"""Find messages whose post was not answered, by their mark, so that none is posted twice and none is forgotten.

A request that was sent is awaited even if its caller is cancelled; otherwise the ts of its message would be lost.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

from adapters.slack.outbound.errors import SlackError
from adapters.slack.outbound.posting import Mark, Place, Poster, ReplyStateCache, find_message

T = TypeVar("T")

log = structlog.get_logger(__name__)

CANCEL_GRACE_S = 3.0
"""How long a cancelled caller still waits for the answer to a sent request. Usually a tenth of a second."""
VISIBLE_WITHIN_S = 20.0
"""A post that is not in the history so long after its answer was lost was not executed."""


async def find_root(poster: Poster, notes: ReplyStateCache, job_id: str, *, now: bool) -> dict[str, Any] | None:
    """The note of the job's message; a lost one is searched for once while the job runs, and again if `now`.

    None: there surely is none. Without `ts`: unknown, because the bot may not read the channel.
    """
    root: dict[str, Any] | None = await notes.get("root")
    if not root or root.get("ts") or not root.get("at") or (root.get("sought") and not now):
        return root
    age_s = poster.now() - root["at"]
    if age_s < VISIBLE_WITHIN_S and not now:
        return root
    try:
        ts = await find_message(poster.api, poster.team, Mark(job_id, "root"), root["at"], await poster.place())
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
    """Call `post` unless an earlier attempt succeeded although its answer was lost. Raises SlackError.

    The earlier message is searched for in `place` by its mark, then by `find_by_file`, which returns its ts.
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
            if not error.may_have_succeeded:
                await notes.record(**{name: None})
            raise
    await notes.record(**{name: {"at": at, "ts": ts, "channel": (place or await poster.place()).channel}})


async def find_marked(poster: Poster, mark: Mark, since_unix_s: float, place: Place) -> str | None:
    """The ts of a marked message; None if there is none, or the bot may not read the channel."""
    try:
        return await find_message(poster.api, poster.team, mark, since_unix_s, place)
    except SlackError as error:
        log.info("slack_lost_message_not_sought", job=mark.job, part=mark.part, error=error.error)
        return None


async def finish_despite_cancel(
    start: Callable[[Callable[[], None]], Coroutine[Any, Any, T]],
    on_answer: Callable[[T], Awaitable[None]],
    on_failed: Callable[[], Awaitable[None]],
) -> T:
    """Run `start` and pass its result to `on_answer`, also if the caller is cancelled after the request was sent.

    `start` calls its argument when the request is sent; if cancelled before that, it is cancelled, too. `on_failed` is
    called if the request was not sent, or has surely failed. CancelledError and SlackError are raised in any case.
    """
    sent = False

    def on_sending() -> None:
        nonlocal sent
        sent = True

    task = asyncio.get_running_loop().create_task(start(on_sending))
    try:
        answer = await asyncio.shield(task)
    except SlackError as error:
        if not error.may_have_succeeded:
            await on_failed()
        raise
    except asyncio.CancelledError:
        if sent:
            await asyncio.wait({task}, timeout=CANCEL_GRACE_S)
        if task.done() and not task.cancelled() and task.exception() is None:
            await on_answer(task.result())
        else:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if not sent:
                await on_failed()
        raise
    finally:
        del task  # breaks a reference cycle of the task, its exception and this frame
    await on_answer(answer)
    return answer
