"""Durable execution: one DBOS workflow that runs the pipeline's steps, and the taking over of dead processes' jobs.

DBOS (MIT part only) records which jobs run, and in which process, so that each goes on after a crash. Steps are
repeatable by themselves (see `core.jobs.steps`), and the job's row says which of them comes next. Every process has a
name of its own, and whoever is alive takes over the unfinished jobs of names that are not (`core.engine.cluster`).
"""

import asyncio
import datetime
import logging
import os
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, NamedTuple

import structlog
from dbos import DBOS, DBOSConfig, SetWorkflowID, WorkflowSerializationFormat, error
from sqlalchemy import Engine, create_engine, event

from core.jobs.steps import Next, Pipeline
from core.jobs.steps.runner import StorageTrouble
from core.net.retry import Backoff, retry
from core.ports import NotOwner
from core.ports.clock import SystemClock
from core.ports.storage import JobPart
from core.storage.database import close_rested, ping_the_rested
from core.storage.sqlite import compat as sqlite_compat

log = structlog.get_logger(__name__)

_VERSION = "1"
"""The workflow's version. Bumped only for an incompatible change, after draining: no job of another is taken up."""

_FIRST: dict[JobPart, Next] = {"request": "prepare", "confirmed": "hold", "deliver": "deliver", "announce": "announce"}
_MAX_STEPS = 60
_STEP_ATTEMPTS = 12
_STEP_PAUSES = Backoff(first_s=0.5)
_MAX_RECOVERIES = 20
_CHECKPOINT_S = 2.0
_MOST_CONNECTIONS = 5


class Unfinished(NamedTuple):
    """A workflow that a process has left before its end."""

    id: str
    job_id: str
    first: Next


class _Running:
    """The pipeline of this process: DBOS registers functions once per process, so they find it here."""

    pipeline: Pipeline | None = None
    broken: ClassVar[set[str]] = set()
    """Workflows that an error of the engine's own tables threw out of this process before it was written down."""


async def _step(step: Next, job_id: str, token: str) -> Next:
    """Run steps until the next stop. Trouble with the database is waited out, for three minutes at a time.

    Not a step of DBOS, each of which costs about 3 ms of CPU and three commits: the job's row says more exactly how
    far the job got, and our own token, not theirs, keeps out a process that was taken for dead.
    """

    async def run() -> Next:
        if _Running.pipeline is None:
            raise StorageTrouble("engine is stopped")
        return await _Running.pipeline.run_on(step, job_id, token)

    def pause(error: Exception, attempt: int) -> float | None:
        return _STEP_PAUSES.pause_s(attempt) if isinstance(error, StorageTrouble) else None

    return await retry(run, clock=SystemClock(), pause=pause, attempts=_STEP_ATTEMPTS)


@DBOS.workflow(
    name="upscale_job", max_recovery_attempts=_MAX_RECOVERIES, serialization_type=WorkflowSerializationFormat.PORTABLE
)
async def _upscale_job(job_id: str, first: Next) -> str:
    step: Next = first
    # Of this run, for as long as it lasts: a run that its process was struck off for must not go on under a new one.
    token = _Running.pipeline.tools.lease.token if _Running.pipeline is not None else ""
    try:
        for _ in range(_MAX_STEPS):
            step = await _step(step, job_id, token)
            if step == "end":
                break
    except NotOwner:
        log.warning("job_left_to_its_new_owner", job=job_id)
        raise
    except Exception:
        _Running.broken.add(DBOS.workflow_id or "")
        raise
    return step


class DbosEngine:
    """`core.ports.JobEngine` on DBOS. One per process at a time."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        database_url: str,
        executor_id: str,
        living: Callable[[], Awaitable[Collection[str]]] | None = None,
    ) -> None:
        """`living` names the processes that are watched; without it every one counts as alive."""
        self._pipeline = pipeline
        self._living = living
        self._url = database_url
        self._connections: Engine | None = None
        self._beginning: set[asyncio.Task[None]] = set()
        self.executor_id = executor_id

    async def open(self) -> None:
        """Create or migrate DBOS's own tables and begin to work. Must run on the loop that the pipeline lives on."""
        _Running.pipeline = self._pipeline
        config: DBOSConfig = {
            "name": "upscale-bot",
            "system_database_url": self._url,
            "application_version": _VERSION,
            "executor_id": self.executor_id,
            "max_executor_threads": 16,
            "log_level": "ERROR",
            "enable_otlp": False,
            "notification_listener_polling_interval_sec": 0.1,  # nothing here waits for any; closing waits for one look
        }
        if self._url.startswith("sqlite"):
            sqlite_compat.install()
            config["sys_db_pool_size"] = 3  # it writes one by one anyway
            await asyncio.to_thread(_prepare_sqlite, self._url)
        else:
            config["system_database_engine"] = self._connections = _postgres(self._url)
            config["use_listen_notify"] = False  # nothing here waits for its notifications: a connection less
        logging.getLogger("dbos").addFilter(_is_trouble)
        DBOS(config=config)
        DBOS.listen_queues([])
        DBOS.launch()

    async def close(self) -> None:
        """Stop working. Jobs that are under way stay recorded as they are, for the next process."""
        _Running.pipeline = None
        if self._beginning:
            await asyncio.wait(self._beginning, timeout=_CHECKPOINT_S)
        await _end_tasks()
        # DBOS has made its own pool the loop's default, and shuts it down: whoever needs a thread then gets another.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="after-engine"))
        await asyncio.to_thread(DBOS.destroy)
        if self._connections is not None:
            await asyncio.to_thread(self._connections.dispose)

    async def start(self, job_id: str, *, part: JobPart = "request") -> None:
        """Begin this part of the job, once: the same part again does nothing."""
        await self._start(f"{job_id}:{part}", job_id, _FIRST[part])

    async def revive(self, job_id: str, first: Next, attempt: int) -> None:
        """Begin again a job whose workflow ended without ending it."""
        await self._start(f"{job_id}:revived-{attempt}", job_id, first)

    async def _start(self, workflow_id: str, job_id: str, first: Next) -> None:
        """Whole or not at all: cut between its row and its task, a workflow would count as running and never run."""

        async def begin() -> None:
            with SetWorkflowID(workflow_id):
                await DBOS.start_workflow_async(_upscale_job, job_id, first)

        beginning = asyncio.create_task(begin(), name=f"begin-{workflow_id}")
        self._beginning.add(beginning)
        beginning.add_done_callback(self._beginning.discard)
        await asyncio.shield(beginning)

    async def active(self) -> set[str]:
        """Ids of jobs of which some living process has a workflow."""
        found = await DBOS.list_workflows_async(status="PENDING", load_input=False, load_output=False)
        living = await self._living() if self._living is not None else None
        return {_job_of(one.workflow_id) for one in found if living is None or one.executor_id in living}

    async def unfinished_of(self, executor_id: str) -> Sequence[Unfinished]:
        """The workflows that this process has begun and not ended."""
        found = await DBOS.list_workflows_async(executor_id=executor_id, status="PENDING", load_output=False)
        return [Unfinished(one.workflow_id, *one.input["args"]) for one in found if one.input is not None]

    async def resume(self, unfinished: Sequence[Unfinished]) -> None:
        """Begin each anew in this process, under the name that follows its own; the job's row says where it goes on.

        An end between the two halves leaves the old one unfinished, and what its successor did is not done again.
        """
        await asyncio.gather(*(self._start(_successor(one.id), one.job_id, one.first) for one in unfinished))
        if unfinished:
            await DBOS.cancel_workflows_async([one.id for one in unfinished])

    async def resume_broken(self) -> int:
        """Resume the workflows that fell out of this process while the database was away; how many.

        They stay recorded as running here, so nobody else would ever take them.
        """
        ids = set(_Running.broken)
        if not ids:
            return 0
        pending = [one for one in await self.unfinished_of(self.executor_id) if one.id in ids]
        await self.resume(pending)
        _Running.broken.difference_update(ids)
        return len(pending)

    async def close_rested(self) -> None:
        """Close connections to PostgreSQL that nobody has needed for a minute."""
        if self._connections is not None:
            await asyncio.to_thread(close_rested, self._connections)

    async def forget_before(self, at: float) -> int:
        """Delete DBOS's rows of workflows that ended before this unix time; how many."""
        before = datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat()
        found = await DBOS.list_workflows_async(
            completed_before=before,
            status=["SUCCESS", "ERROR", "CANCELLED"],
            limit=1000,
            load_input=False,
            load_output=False,
        )
        ids = [workflow.workflow_id for workflow in found]
        if ids:
            await DBOS.delete_workflows_async(ids)
        return len(ids)


def _is_trouble(record: logging.LogRecord) -> bool:
    """Not that a workflow ends here since another process carries its job on, which DBOS logs as an error."""
    raised = record.exc_info[1] if record.exc_info else None
    return not isinstance(raised, NotOwner | error.DBOSAwaitedWorkflowCancelledError)


def _job_of(workflow_id: str) -> str:
    return workflow_id.rsplit(":", 1)[0]


def _successor(workflow_id: str) -> str:
    name, _, number = workflow_id.partition("~")
    return f"{name}~{int(number or 0) + 1}"


def _postgres(url: str) -> Engine:
    engine = create_engine(
        url,
        pool_size=_MOST_CONNECTIONS,
        max_overflow=0,
        pool_use_lifo=True,
        connect_args={"application_name": "upscale-bot engine", "connect_timeout": 10},
    )
    ping_the_rested(engine)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        # No `options` of the connection: poolers refuse them.
        connection.execute("SET idle_in_transaction_session_timeout = 60000")
        connection.commit()

    return engine


async def _end_tasks() -> None:
    """Let checkpoints that are being written end, then cancel what is left: cancelled workflows stay unfinished."""
    ours = {task for task in asyncio.all_tasks() if _of_dbos(task)}
    if ours:
        _, late = await asyncio.wait(ours, timeout=_CHECKPOINT_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)


def _of_dbos(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and f"{os.sep}dbos{os.sep}" in code.co_filename


def _prepare_sqlite(url: str) -> None:
    """Write-ahead log, set once per file: a third more jobs per second (measured 2026-11-22)."""
    connection: Any = sqlite3.connect(url.removeprefix("sqlite:///"))
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()
