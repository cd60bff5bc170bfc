"""When Python looks for garbage: a little at a time, because nothing else runs meanwhile.

What a collection costs is what it looks through. What the start has made, and what has outlived one full collection, is
put aside and not looked through again; so each of them sees only what has come since. What of that becomes garbage in
a circle (about 12 objects a job) stays until everything is looked through: once much is aside, and little runs or
ten minutes have gone by.
"""

import gc
import time
from collections.abc import Callable

from core.jobs.maintenance import MaintenanceTask

_YOUNG, _MIDDLE = 1_000, 5
"""So that the middle generation is 5,000 objects: 3 to 10 ms."""
_NEVER = 1_000_000
_LOOK_EVERY_S = 1.0
_PILED_UP = 5
"""Collections of the middle generation before a full one; each has moved up to 5,000 objects on: 10 to 30 ms."""
_COUNTED_EVERY = 20
"""Full collections before what is aside is counted, which takes 20 ms."""
_MOST_ASIDE = 100_000
"""Objects, of about 100 bytes each, besides those of the start."""
_FEW_JOBS = 10
_AT_LEAST_EVERY_S = 600.0


def spare_the_loop(jobs_here: Callable[[], int], now: Callable[[], float] = time.monotonic) -> MaintenanceTask:
    """To be called once when everything is started; the task has to be run by whoever owns the loop."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
    most_aside, everything_at, collected = gc.get_freeze_count() + _MOST_ASIDE, now(), 0

    async def look() -> None:
        nonlocal everything_at, collected
        if gc.get_count()[2] < _PILED_UP:
            return
        collected += 1
        due = jobs_here() <= _FEW_JOBS or now() - everything_at >= _AT_LEAST_EVERY_S
        if due and collected >= _COUNTED_EVERY:
            collected = 0
            if gc.get_freeze_count() > most_aside:
                everything_at = now()
                gc.unfreeze()
        gc.collect()
        gc.freeze()

    return MaintenanceTask("garbage", _LOOK_EVERY_S, look)
