"""Tasks that go on after an acknowledgement: bounded in number, and drained at shutdown."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)

MAX_RUNNING = 5000


class BackgroundTasks:
    """Starts and owns tasks, and logs what they raise."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, name: str, work: Coroutine[Any, Any, Any]) -> bool:
        """Start `work`; False if it is not started because too many tasks are running."""
        return self._start(name, work) is not None

    async def done_within(self, limit_s: float, name: str, work: Coroutine[Any, Any, Any]) -> bool:
        """Start `work` and wait for it; False if it failed, still runs after `limit_s`, or was not started."""
        task = self._start(name, work)
        if task is None:
            return False
        done, _ = await asyncio.wait({task}, timeout=limit_s)
        return bool(done) and not task.cancelled() and task.result()

    def _start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[bool] | None:
        if len(self._running) >= MAX_RUNNING:
            work.close()
            log.warning("slack_too_many_tasks", task=name)
            return None
        task = asyncio.get_running_loop().create_task(self._guarded(name, work), name=f"slack-{name}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _guarded(self, name: str, work: Coroutine[Any, Any, Any]) -> bool:
        try:
            await work
        except Exception as error:
            log.error("slack_task_failed", task=name, kind=type(error).__name__, exc_info=True)
            return False
        return True

    async def close(self, *, grace_s: float) -> None:
        """Wait `grace_s` for running tasks, then cancel the rest."""
        running = list(self._running)
        if running and grace_s > 0:
            await asyncio.wait(running, timeout=grace_s)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
