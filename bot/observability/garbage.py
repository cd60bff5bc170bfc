"""When Python looks for garbage: seldom through everything while much is going on, because nothing else runs meanwhile.

What a collection costs is what lives and what has piled up. What the start has made is never looked at again; all else
is looked through soon while few jobs live, and the less often the more of them there are, so that neither the pause
(about 20 ms with few jobs, 150 to 350 ms with 1,000) nor the pile grows without a bound.
"""

import gc
from collections.abc import Callable

from core.jobs.maintenance import MaintenanceTask

_YOUNG, _MIDDLE = 2_000, 5
"""So that the middle generation is 10,000 objects: 5 to 15 ms."""
_NEVER = 1_000_000
_LOOK_EVERY_S = 1.0
_LEAST, _MOST = 6, 60
"""Collections of the middle generation before a full one; each has moved up to 10,000 objects on."""


def spare_the_loop(jobs_here: Callable[[], int]) -> MaintenanceTask:
    """To be called once when everything is started; the task has to be run by whoever owns the loop."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)

    async def look() -> None:
        if gc.get_count()[2] >= min(max(_LEAST, jobs_here() // 2), _MOST):
            gc.collect()

    return MaintenanceTask("garbage", _LOOK_EVERY_S, look)
