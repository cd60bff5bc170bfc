"""Progress edits of a job's message: throttled, one in flight, only the newest, never in the way of the final edit.

An edit that fails is dropped. If the message is gone, the job's edits stop at once, because requests with dead tokens
count towards a ban on Discord. The pipeline sends results and failures, not this module.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from statistics import median

import structlog

from core.domain.errors import DeliveryError, DeliveryRefused
from core.domain.job import Job, Progress
from core.domain.models import ALL, DEFAULT_MODEL
from core.net.retry import Flag
from core.ports import AppState, Clock, EditableForLimitedTime, NotOwner, Reply, TypedState
from core.storage.database import DATABASE_ERRORS

log = structlog.get_logger(__name__)

_EDIT_TIMEOUT_S = 10.0
_SHARE_EVERY_S = 2.0
_SLOW_EDIT_S = 2.0
"""Shorter than the time after which other processes take over the jobs of a silent one."""

_GRACE_FOR_LAST_EDIT_S = 1.5
"""How long the final edit waits for an edit in flight, so that the older one does not overwrite it."""


class ProgressLoop:
    def __init__(
        self,
        reply: Reply,
        clock: Clock,
        *,
        min_interval_s: float,
        check_owner: Callable[[], Awaitable[None]] | None = None,
        share: Callable[[Job, Progress], Awaitable[None]] | None = None,
        late: Callable[[Job], Awaitable[None]] | None = None,
    ) -> None:
        """`check_owner` raises NotOwner if another process owns the job; `share` stores progress for others, at most
        once in two seconds; `late` is called after an edit that may have overwritten another process's final edit.
        """
        self._check_owner = check_owner
        self._late = late
        self._share = share
        self._share_at = 0.0
        self._reply = reply
        self._limited = reply if isinstance(reply, EditableForLimitedTime) else None  # costs as much as an edit
        self._clock = clock
        self._min_interval_s = min_interval_s
        self._newest: tuple[Job, Progress] | None = None
        self._task: asyncio.Task[None] | None = None
        self._last_edit: asyncio.Task[None] | None = None
        self._last_edit_at = 0.0
        self._shown: tuple[Job, Progress] | None = None
        self._editing = False
        self._answered = Flag()
        self._refusal: DeliveryRefused | None = None
        self.dead = False
        self._unsure = False

    def show(self, job: Job, progress: Progress) -> None:
        """Replace progress that is not shown yet. Never waits."""
        if self.dead:
            return
        self._newest = (job, progress)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"progress-{job.id}")

    async def refusal(self, at_most_s: float) -> DeliveryRefused | None:
        """The error that ended the edits for good, or None. Waits at most so long for the outcome of the first edit."""
        if self._task is not None and not (await asyncio.wait({self._answered}, timeout=at_most_s))[0]:
            log.debug("first_edit_slow")
        return self._refusal

    async def stop(self) -> bool:
        """Stop the edits. An edit in flight gets a moment to finish and is then cancelled.

        True if the outcome of an edit is unknown, so that it may still take effect.
        """
        task, self._task, self._newest = self._task, None, None
        last_edit, self._last_edit = self._last_edit, None
        self.dead = True
        if last_edit is not None:
            last_edit.cancel()
            await asyncio.gather(last_edit, return_exceptions=True)
        if task is None:
            return self._unsure
        if self._editing:
            await asyncio.wait({task}, timeout=_GRACE_FOR_LAST_EDIT_S)
        self._unsure |= self._editing
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return self._unsure

    async def _run(self) -> None:
        """Edit until one interval passes without new progress. Then the task ends: thousands of jobs may wait."""
        while not self.dead and self._newest is not None:
            newest, self._newest = self._newest, None
            self._shown = newest
            await self._edit(*newest)
            if not self.dead:
                await self._clock.sleep(self._min_interval_s)
        self._task = None

    async def _plan_last_edit(self, job: Job) -> None:
        """Where the message may become final before the job ends: edit it once more in time."""
        at = await self._limited.last_edit_at(job) if self._limited is not None else None
        if at is None or at <= self._last_edit_at:
            return
        if self._last_edit is not None:
            self._last_edit.cancel()
        self._last_edit_at = at
        self._last_edit = asyncio.create_task(self._edit_in_time(), name=f"last-edit-{job.id}")

    async def _edit_in_time(self) -> None:
        await self._clock.sleep(max(0.0, self._last_edit_at - self._clock.now()))
        if self._shown is not None:
            self.show(*self._shown)

    async def _edit(self, job: Job, progress: Progress) -> None:
        self._editing, began_at = True, self._clock.now()
        try:
            async with asyncio.timeout(_EDIT_TIMEOUT_S):
                if self._check_owner is not None:
                    await self._check_owner()
                await self._reply.progress(job, progress)
                self._unsure = False
                if not self.dead:
                    await self._plan_last_edit(job)
                if self._share is not None and self._clock.now() >= self._share_at:
                    self._share_at = self._clock.now() + _SHARE_EVERY_S
                    await self._share(job, progress)
        except DeliveryRefused as refusal:
            self.dead = True
            self._refusal = refusal
            log.info("progress_edits_stopped", job=job.id, reason=refusal.reason)
        except NotOwner:
            self.dead = True
        except (DeliveryError, TimeoutError, *DATABASE_ERRORS) as error:
            self._unsure = isinstance(error, TimeoutError)
            log.info("progress_edit_dropped", job=job.id, reason=str(error) or "timeout")
        except Exception:
            self.dead = True
            log.exception("progress_edit_failed", job=job.id)
        finally:
            self._editing = False
            self._answered.set()
        if self._clock.now() - began_at > _SLOW_EDIT_S:
            await self._recheck_owner(job)

    async def _recheck_owner(self, job: Job) -> None:
        """An edit of a process that was suspended meanwhile may have come after the new owner's final edit."""
        try:
            if self._check_owner is not None:
                await self._check_owner()
        except DATABASE_ERRORS as error:
            log.info("owner_not_known", job=job.id, kind=type(error).__name__)
        except NotOwner:
            self.dead = True
            if self._late is not None:
                await self._late(job)


_KEPT = 50
_PRIOR_S_PER_MP = 2.5
"""A guess, used until the first jobs have ended."""

_FLOOR_S = 2.0


class FinishTimes:
    """Expected finish times: the median seconds per megapixel of earlier jobs, plus half of it per queued request.

    Durations of the last jobs are stored in `AppState`, per backend and model.
    """

    def __init__(self, state: AppState, backend: str) -> None:
        self._saved = TypedState(state, "eta", list[float])
        self._backend = backend
        self._samples: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._unsaved = 0

    def _key(self, model: str) -> str:
        return self._backend if model == DEFAULT_MODEL else f"{self._backend}:{model}"

    async def load(self) -> None:
        for model in ALL.ids:
            self._samples[model].extend(await self._saved.get(self._key(model)) or ())

    async def learn(self, megapixels: int, seconds: float, model: str = DEFAULT_MODEL) -> None:
        """Add the duration of one job at the provider. Every tenth is stored."""
        if seconds <= 0:
            return
        self._samples[model].append(seconds / max(1, megapixels))
        self._unsaved += 1
        if self._unsaved >= 10:
            self._unsaved = 0
            for name, samples in self._samples.items():
                await self._saved.put(self._key(name), [round(value, 4) for value in samples])

    def expected_s(self, megapixels: int, ahead: int = 0, model: str = DEFAULT_MODEL) -> float:
        """Seconds until a job of this size is done, with `ahead` requests before it."""
        samples = self._samples.get(model)
        per_mp = median(samples) if samples else _PRIOR_S_PER_MP
        own = max(_FLOOR_S, per_mp * max(1, megapixels))
        return own * (1 + 0.5 * ahead)
