"""When Python looks for garbage: seldom through everything while much is going on, because nothing else runs meanwhile.

What a collection costs is what it looks through. What the start has made is never looked at again while little runs.
While many jobs live or many requests are being taken, what has outlived a full collection is put aside as well, so that
each of them sees only what has come since; what had piled up before is put aside unseen, so that no long collection
falls into a beginning flood. What of that becomes garbage in a circle stays until everything is looked through, which
takes 150 to 350 ms. So that is done only where much is still there of what was put aside: most of it is freed without
being looked for.
"""

import asyncio
import gc
from collections.abc import Callable

from core.jobs.maintenance import MaintenanceTask

_YOUNG, _MIDDLE = 1_000, 5
"""So that the middle generation is 5,000 objects: 3 to 10 ms."""
_NEVER = 1_000_000
_LOOK_EVERY_S = 0.1
"""In a second of a flood 35,000 objects come, which take 30 to 50 ms: 3 to 5 ms for each look."""
_MANY = 10
"""Jobs, or tasks more than lately: requests that are being taken. Those that stay (open pages) soon count no more."""
_PILED_UP, _PILED_UP_BUSY = 12, 1
"""Collections of the middle generation before a full one; each has moved up to 5,000 objects on."""
_MOST_ASIDE, _MOST_ASIDE_BUSY = 100_000, 700_000
"""Objects of about 100 bytes."""


def spare_the_loop(jobs_here: Callable[[], int]) -> MaintenanceTask:
    """To be called once when everything is started; the task has to be run by whoever owns the loop."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
    started_with, aside = gc.get_freeze_count(), 0
    usual, was_busy = len(asyncio.all_tasks()), False

    async def look() -> None:
        nonlocal aside, usual, was_busy
        tasks = len(asyncio.all_tasks())
        usual = min(tasks, usual + 1)
        busy, piled_up = max(jobs_here(), tasks - usual) > _MANY, gc.get_count()[2]
        begins, was_busy = busy and not was_busy, busy
        if piled_up < (_PILED_UP_BUSY if busy else _PILED_UP):
            return
        most = _MOST_ASIDE_BUSY if busy else _MOST_ASIDE
        if aside >= most:
            aside = gc.get_freeze_count() - started_with  # which takes some milliseconds
        everything = aside >= most
        if everything:
            aside = 0
            gc.unfreeze()
        if everything or not begins or piled_up > _PILED_UP:
            gc.collect()
        if busy or everything:
            gc.freeze()
        if busy:
            aside += piled_up * _YOUNG * _MIDDLE

    return MaintenanceTask("garbage", _LOOK_EVERY_S, look)
