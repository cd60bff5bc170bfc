"""The interface to all image processing.

Every method sends a path to a worker process and returns small facts; a codec that crashes, hangs or uses too much
memory costs one worker. Files that a method writes are complete when it returns. Bad images raise an `InputError` of
`core.domain.errors`.
"""

import asyncio
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from core.domain import money
from core.domain.errors import DamagedImage, ImageTooCostly, OutputTooLarge, StorageFull
from core.domain.media_types import SavedAs
from core.domain.similarity import Similarity
from core.images.facts import (
    Bounds,
    ImageFacts,
    ImageLimits,
    ModelLimits,
    PreparedImage,
    StrippedResult,
    WrittenImage,
)
from core.images.memory_estimate import is_heavy
from core.images.pool import QUEUE_TIMEOUT_S, NoWorker, WorkerDied, WorkerFault, WorkerPool
from core.net.file_sink import disk_is_full

__all__ = [
    "Bounds", "ImageFacts", "ImageLimits", "ImageService", "ModelLimits", "PreparedImage", "StrippedResult",
    "WrittenImage", "check_output", "largest_factor",
]  # fmt: skip

_RESULT_TIMEOUT_S = 180.0


def largest_factor(width_px: int, height_px: int, limits: ImageLimits, below: float = 4.0) -> float | None:
    """Return the largest factor from 1 to `below`, in hundredths, whose output keeps both limits, or None."""
    by_side = limits.max_output_side_px / max(width_px, height_px)
    bound = min(below, by_side, math.sqrt(limits.output_pixels / (width_px * height_px)))
    # Found within a step or two, which compensate for the rounding up of the sides.
    return money.largest_factor(bound, lambda f: _fits(*money.largest_output_size(width_px, height_px, f), limits))


def check_output(width_px: int, height_px: int, factor: float, limits: ImageLimits) -> None:
    """Raise OutputTooLarge, with the largest factor that fits, if the result would exceed a limit."""
    out_width_px, out_height_px = money.largest_output_size(width_px, height_px, factor)
    if not _fits(out_width_px, out_height_px, limits):
        raise OutputTooLarge(
            width_px=out_width_px,
            height_px=out_height_px,
            limit_px=limits.output_pixels,
            limit_side_px=limits.max_output_side_px,
            largest_factor=largest_factor(width_px, height_px, limits),
        )


def _fits(width_px: int, height_px: int, limits: ImageLimits) -> bool:
    return max(width_px, height_px) <= limits.max_output_side_px and width_px * height_px <= limits.output_pixels


class ImageService(AbstractAsyncContextManager["ImageService"]):
    """Image jobs, at most `workers` at a time. Processes start on demand and stop after `idle_s`.

    `timeout_s` limits jobs on untrusted files; the wait for a free worker is limited too (TimeoutError). A full disk
    raises StorageFull, an unexpected error WorkerFault. `no_worker` is called if no worker can be started. `scratch` is
    the folder for temporary files (default: the system's).
    """

    def __init__(
        self,
        limits: ImageLimits | None = None,
        *,
        model: ModelLimits | None = None,
        bounds: Bounds | None = None,
        workers: int = 2,
        timeout_s: float = 60.0,
        idle_s: float = 60.0,
        jobs_per_worker: int = 1_000,
        scratch: Path | None = None,
        no_worker: Callable[[], object] = lambda: None,
    ) -> None:
        self.limits = limits or ImageLimits()
        self._model = model or ModelLimits()
        self._timeout_s = timeout_s
        self._limits_json, self._result_limits_json = asdict(self.limits), asdict(self._result_limits)
        self._no_worker = no_worker
        self._heavy = asyncio.Lock()
        self._pool = WorkerPool(
            workers=workers, jobs_per_worker=jobs_per_worker, idle_s=idle_s, bounds=bounds or Bounds(), scratch=scratch
        )
        self.stats = self._pool.stats

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop all workers. Jobs in progress raise Draining."""
        await self._pool.close()

    async def probe(self, path: Path, *, decode: bool = True) -> ImageFacts:
        """Read facts of an image. With `decode` every pixel is read, so that a truncated file is refused; without,
        only headers are read. Raises InputError.
        """
        return ImageFacts(**await self._job("probe", self._timeout_s, path=path, decode=decode))

    async def prepare(self, path: Path, out_path: Path) -> PreparedImage:
        """Write the file for the model: upright, opaque, 8 bits, sRGB, first frame, no metadata.

        A JPEG or PNG that needs no conversion is not recompressed; anything else becomes PNG, or JPEG at quality 95 if
        the PNG would be too large. Checks everything that `probe` checks. Raises InputError.
        """
        found = await self._job("prepare", self._timeout_s, path=path, out=out_path, model=asdict(self._model))
        found |= {"notes": tuple(found["notes"]), "source": ImageFacts(**found["source"])}
        return PreparedImage(out_path, **found)

    async def enlarge(self, path: Path, out_path: Path, factor: float, *, network: bool = False) -> WrittenImage:
        """Enlarge by Lanczos, with `network` mixed with a neural network as far as that helps this image.

        A PNG becomes a PNG, anything else a JPEG. Raises InputError (also OutputTooLarge).
        """
        facts = await self.probe(path, decode=False)
        check_output(facts.width_px, facts.height_px, factor, self.limits)
        args: dict[str, Any] = {"path": path, "out": out_path, "factor": factor, "network": network}
        return WrittenImage(out_path, **await self._job("enlarge", _RESULT_TIMEOUT_S, **args))

    async def strip_result(self, path: Path) -> StrippedResult:
        """Check that a downloaded result is complete, and remove its metadata, in place and losslessly.

        Complete means that the file's structure reaches its end; formats without a checkable structure are decoded.
        The limits are those of an output plus a quarter. Raises InputError.
        """
        roomy = replace(self._result_limits, input_pixels=self.limits.output_pixels * 5 // 4)
        found = await self._result_job("strip_result", path=path, limits=asdict(roomy))
        return StrippedResult(path, ImageFacts(**found["facts"]), found["sha256"])

    async def postprocess(
        self,
        result: StrippedResult,
        source: Path | None,
        *,
        transparent: bool = False,
        size_px: tuple[int, int] | None = None,
        dpi: tuple[float, float] | None = None,
    ) -> StrippedResult:
        """Convert a stripped result, in place, to sRGB and, by reduction, to exactly `size_px`.

        Restores the alpha of `source`, enlarged, if `transparent` (which makes it a PNG), and its density, unless
        `dpi` is given. Raises InputError (ImageTooSmall if `size_px` is larger than the result); the file stays whole.
        """
        found = await self._result_job(
            "postprocess", path=result.path, source=source, transparent=transparent, size_px=size_px, dpi=dpi
        )
        return StrippedResult(result.path, ImageFacts(**found["facts"]), found["sha256"]) if found else result

    async def crop_detail(self, path: Path, out_path: Path, factor: float) -> WrittenImage:
        """Write the most detailed part of an upright image as a PNG, for a preview job.

        Enlarged by `factor` it has at most 1,000,000 pixels, by `largest_output_size`. Raises InputError.
        """
        return WrittenImage(out_path, **await self._result_job("crop_detail", path=path, out=out_path, factor=factor))

    async def blank(self, path: Path) -> Literal["black", "flat"] | None:
        """Check whether the image has a single colour, as placeholders do. Reads every pixel. Raises InputError."""
        found: dict[str, Literal["black", "flat"] | None] = await self._result_job("blank", path=path)
        return found["blank"]

    async def fit(self, path: Path, out_dir: Path, max_bytes: int) -> WrittenImage:
        """Make the best form within `max_bytes`: the file itself, lossless WebP, JPEG/WebP from quality 80, or reduced.

        Files are made in `out_dir`, which must exist; the caller removes them. Raises InputError.
        """
        found = await self._result_job("fit", path=path, out_dir=out_dir, max_bytes=max_bytes)
        return WrittenImage(**{**found, "path": Path(found["path"])})

    async def convert(self, path: Path, out_path: Path, saved_as: SavedAs, quality: int) -> WrittenImage:
        """Write the image in another format; `quality` (1-100) is for JPEG and WebP. Raises InputError."""
        args = {"path": path, "out": out_path, "saved_as": saved_as, "quality": quality}
        return WrittenImage(out_path, **await self._result_job("convert", **args))

    async def preview(self, path: Path, out_path: Path, *, max_side_px: int, max_bytes: int) -> WrittenImage:
        """Write a reduced image within both limits: JPEG, or PNG if it is transparent. Raises InputError."""
        args = {"path": path, "out": out_path, "max_side_px": max_side_px, "max_bytes": max_bytes}
        return WrittenImage(out_path, **await self._result_job("preview", **args))

    async def tiles(self, path: Path, out_dir: Path, *, tile_px: int) -> tuple[int, str]:
        """Cut the image into tiles at every halving of its size. Returns the number of levels and the tiles' file name
        suffix. Raises InputError.
        """
        found = await self._result_job("tiles", path=path, out=out_dir, tile_px=tile_px)
        return int(found["levels"]), str(found["suffix"])

    async def similarity(self, before: Path, after: Path) -> Similarity:
        """Measure how much of the structure of `before` its enlargement kept. Raises InputError."""
        return Similarity(**await self._result_job("similarity", before=before, after=after))

    async def compare(self, before: Path, after: Path, out_path: Path) -> WrittenImage:
        """Write before and after of the most detailed and the most changed part, side by side at 100 %, at most 550 px
        wide and high, under 4 MB. Raises InputError.
        """
        return WrittenImage(out_path, **await self._result_job("compare", before=before, after=after, out=out_path))

    @property
    def _result_limits(self) -> ImageLimits:
        """Limits of a result, or of an input that was accepted before."""
        pixels = max(self.limits.output_pixels * 5 // 4, self.limits.input_pixels)
        return ImageLimits(input_bytes=1 << 62, input_pixels=pixels, min_side_px=1)

    async def _result_job(self, op: str, **args: Any) -> dict[str, Any]:
        """Run a job on a result. Results were paid for, so if the worker dies the job is tried once more."""
        return await self._job(op, _RESULT_TIMEOUT_S, 2, **{"limits": self._result_limits_json, **args})

    async def _job(self, op: str, timeout_s: float, attempts: int = 1, **args: Any) -> dict[str, Any]:
        """Run a job, and map the pool's errors to the error tree.

        Heavy images run one at a time, so that the workers' memory adds up to one heavy share and light ones. A job
        whose worker was killed is tried once more.
        """
        args = {"limits": self._limits_json, **args}
        try:
            async with AsyncExitStack() as turn:
                if await asyncio.to_thread(is_heavy, args):
                    async with asyncio.timeout(QUEUE_TIMEOUT_S):
                        await turn.enter_async_context(self._heavy)
                return await self._pool.call(op, args, timeout_s=timeout_s)
        except WorkerDied as died:
            if attempts + died.killed > 1:
                return await self._job(op, timeout_s, attempts - 1, **args)
            raise (ImageTooCostly() if died.over_limit else DamagedImage(detail="codec_crash")) from died
        except WorkerFault as fault:
            if disk_is_full(fault):
                raise StorageFull(reason="disk") from fault
            if isinstance(fault, NoWorker):
                self._no_worker()
            raise
