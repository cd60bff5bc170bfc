"""When Python looks for garbage: never through everything while much is going on, because nothing else runs meanwhile.

A full collection takes 150 to 350 ms with 1,000 jobs alive. What the start has made is never looked at again, and the
oldest generation is collected when little runs, or when much has piled up.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

from core.jobs.maintenance import MaintenanceTask

_YOUNG, _MIDDLE = 2_000, 10
"""So that the middle generation is 20,000 objects: 10 to 30 ms."""
_NEVER = 1_000_000
_LOOK_EVERY_S = 5.0
_FEW_JOBS = 20
_DUE, _OVERDUE = 25, 1_000
"""Collections of the middle generation since the last full one; each has moved up to 20,000 objects on."""


def spare_the_loop(jobs_here: Callable[[], int]) -> MaintenanceTask:
    """To be called once when everything is started; the task has to be run by whoever owns the loop."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)

    async def look() -> None:
        piled_up = gc.get_count()[2]
        if piled_up >= _OVERDUE or (piled_up >= _DUE and jobs_here() <= _FEW_JOBS):
            gc.collect()

    return MaintenanceTask("garbage", _LOOK_EVERY_S, look)
