"""Which requests at the provider belonged to jobs that their owners have erased: job id to request id, nothing else.

The ledger's row stays, without the person; with this it still meets its bill, until no bill can come any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.domain.job import Job
from core.ports import AppState, Clock

_AREA = "erased_requests"
_KEPT_S = 100 * 86_400
"""fal lists billing events of the last 90 days."""


@dataclass(frozen=True, slots=True)
class ErasedRequest:
    """A request whose job is gone. `at` is when it was sent (unix seconds)."""

    job_id: str
    request_id: str
    at: float


class ErasedRequests:
    """Kept among the small state."""

    def __init__(self, state: AppState, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    async def remember(self, job: Job) -> None:
        """Before the job's row goes. Nothing for a job that never reached the provider."""
        if job.remote is None or not job.remote.request_id:
            return
        value = {"request_id": job.remote.request_id, "at": job.remote.intent_at or job.created_at}
        await self._state.put(_AREA, job.id, value)

    async def all(self) -> list[ErasedRequest]:
        """Every one that may still be billed; older ones are forgotten here."""
        found = []
        for job_id in await self._state.keys(_AREA):
            value: Any = await self._state.get(_AREA, job_id)
            if not isinstance(value, dict) or value["at"] < self._clock.now() - _KEPT_S:
                await self._state.delete(_AREA, job_id)
                continue
            found.append(ErasedRequest(job_id, str(value["request_id"]), float(value["at"])))
        return found
