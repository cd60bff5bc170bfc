"""Schedule Python's garbage collection, which blocks the event loop, so that full collections are rare under load.

A collection takes time in proportion to the objects it examines. Objects made at start-up are frozen, so it skips them.
Under load (many jobs or requests), objects that survive a full collection are frozen as well, so that each collection
examines only newer objects; when load begins, existing objects are frozen without a collection, so that no long one
delays the first requests. Frozen objects in reference cycles stay until all are unfrozen and examined, which takes 150
to 350 ms. That is done only while many frozen objects are left, since reference counting frees most of them.
"""

import asyncio
import gc
from collections.abc import Callable

from core.jobs.maintenance import MaintenanceTask

_YOUNG, _MIDDLE = 1_000, 5
"""The middle generation then has 5,000 objects: 3 to 10 ms."""
_NEVER = 1_000_000
_INTERVAL_S = 0.1
"""Under heavy load 35,000 objects a second are made, which take 30 to 50 ms: 3 to 5 ms for each interval."""
_BUSY_ABOVE = 10
"""Jobs, or tasks above the recent baseline (requests being handled; long-lived ones soon belong to the baseline)."""
_COLLECT_AFTER, _COLLECT_AFTER_BUSY = 12, 1
"""Collections of the middle generation before a full one; each promotes up to 5,000 objects."""
_MAX_FROZEN, _MAX_FROZEN_BUSY = 100_000, 700_000
"""Objects of about 100 bytes."""


def garbage_task(jobs_here: Callable[[], int]) -> MaintenanceTask:
    """Freeze what the start-up made, and return the task that collects from then on. Call it once."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
    frozen_at_start, frozen = gc.get_freeze_count(), 0
    usual_tasks, was_busy = len(asyncio.all_tasks()), False

    async def collect() -> None:
        nonlocal frozen, usual_tasks, was_busy
        tasks = len(asyncio.all_tasks())
        usual_tasks = min(tasks, usual_tasks + 1)
        busy, promotions = max(jobs_here(), tasks - usual_tasks) > _BUSY_ABOVE, gc.get_count()[2]
        load_begins, was_busy = busy and not was_busy, busy
        if promotions < (_COLLECT_AFTER_BUSY if busy else _COLLECT_AFTER):
            return
        max_frozen = _MAX_FROZEN_BUSY if busy else _MAX_FROZEN
        if frozen >= max_frozen:
            frozen = gc.get_freeze_count() - frozen_at_start  # the exact count, which takes some milliseconds
        everything = frozen >= max_frozen
        if everything:
            frozen = 0
            gc.unfreeze()
        if everything or not load_begins or promotions > _COLLECT_AFTER:
            gc.collect()
        if busy or everything:
            gc.freeze()
        if busy:
            frozen += promotions * _YOUNG * _MIDDLE

    return MaintenanceTask("garbage", _INTERVAL_S, collect)
