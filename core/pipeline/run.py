"""One step of one job: run it, and turn whatever goes wrong into the job's end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.errors import InternalError, LedgerUnavailable, UpscaleError
from core.jobs import Job
from core.pipeline import ending, finish, prepare, spend, wait
from core.pipeline.tools import Next, Tools

log = structlog.get_logger(__name__)

Step = Callable[[Tools, Job], Awaitable[Next]]

_STEPS: dict[str, Step] = {
    "prepare": prepare.prepare,
    "hold": spend.hold,
    "submit": spend.submit,
    "wait": wait.wait,
    "collect": finish.collect,
    "deliver": finish.deliver,
    "announce": finish.announce,
}


class StorageTrouble(Exception):
    """The database did not answer inside a step; the step is to be run again."""


class Pipeline:
    """Runs steps by name. Holds no state of its own."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools

    async def run(self, step: Next, job_id: str) -> Next:
        """Run one step; the name of the next. Raises StorageTrouble when it should be run again later."""
        try:
            job = await self.tools.load(job_id)
            return await self._judge(step, job)
        except (DBAPIError, PoolTimeout, LedgerUnavailable) as trouble:
            log.warning("step_storage_trouble", job=job_id, step=step, kind=type(trouble).__name__)
            raise StorageTrouble(step) from trouble

    async def _judge(self, step: Next, job: Job) -> Next:
        try:
            return await _STEPS[step](self.tools, job)
        except (DBAPIError, PoolTimeout):
            raise
        except LedgerUnavailable as closed:
            if step != "hold":
                raise
            return await self._fail(job, closed)
        except UpscaleError as error:
            return await self._fail(job, error)
        except Exception as unforeseen:
            log.exception("job_broke", job=job.id, step=step)
            await self.tools.store.add_incident(
                job.id, area=f"step:{step}", kind=type(unforeseen).__name__, job_id=job.id
            )
            return await self._fail(job, InternalError(reference=job.id))

    async def _fail(self, job: Job, error: UpscaleError) -> Next:
        return await ending.end_with_error(self.tools, await self.tools.load(job.id), error)
