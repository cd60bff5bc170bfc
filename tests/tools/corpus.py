"""Runs every file of a folder through the product's pixel work and prints what became of it.

    python -m tests.tools.corpus DIR      any folder
    python -m tests.tools.corpus          the project's own corpus, made by code

Each file is prepared for the model, "enlarged" by 1, and restored as a result is. The colour difference is that between
this and the original, both as sRGB, by Pillow's own decoders and colour management; what Pillow reads in another way
(a PNG's gamma and colour codes, samples of more than 8 bits or with a sign, frames of an animation) is not compared.
"""

import asyncio
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image, ImageCms, ImageOps

from core.domain.errors import DamagedImage, ImageTooCostly, InputError, NotAnImage, UnsupportedFormat
from core.images.pool import WorkerFault
from core.images.service import ImageLimits, ImageService
from tests.core.images import pictures
from tests.core.images.made_up import made_up

MAX_MEAN_OFF = 1.5
_LOOSE = ImageLimits(min_side_px=1)
_COLOUR_CHUNKS = (b"gAMA", b"cICP")

Pixels = np.ndarray[Any, Any]


@dataclass
class Report:
    """What became of a folder's files."""

    accepted: int = 0
    compared: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    damaged: list[str] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)
    off: dict[str, float] = field(default_factory=dict)
    slowest: tuple[float, str] = (0.0, "")
    peak_bytes: int = 0

    @property
    def wrong(self) -> list[str]:
        """Files whose colours changed."""
        return sorted(name for name, off in self.off.items() if off > MAX_MEAN_OFF)

    def lines(self) -> list[str]:
        """The table."""
        worst = max(self.off.items(), key=lambda entry: entry[1], default=("", 0.0))
        mean = sum(self.off.values()) / len(self.off) if self.off else 0.0
        rows = [
            ("accepted", f"{self.accepted}"),
            *((f"refused: {reason}", f"{count}") for reason, count in self.refused.most_common()),
            ("crashes", f"{len(self.crashed)} {' '.join(self.crashed)}"),
            ("hangs", f"{len(self.hung)} {' '.join(self.hung)}"),
            ("colours compared", f"{len(self.off)}, mean {mean:.2f}, worst {worst[1]:.2f} {worst[0]}"),
            (f"colours off by more than {MAX_MEAN_OFF}", f"{len(self.wrong)} {' '.join(self.wrong)}"),
            ("slowest", f"{self.slowest[0]:.2f} s {self.slowest[1]}"),
            ("peak memory of a worker", f"{self.peak_bytes / 1e6:.0f} MB"),
        ]
        return [f"{name:<34}{value}".rstrip() for name, value in rows]


async def run(folder: Path, truths: Mapping[str, Pixels] = MappingProxyType({})) -> Report:
    """Every regular file below `folder`, one after the other. `truths` are pictures by name that Pillow misreads."""
    report = Report()
    pillow_heif.register_heif_opener()
    with tempfile.TemporaryDirectory() as scratch:
        async with ImageService(_LOOSE, workers=1) as image_service:
            for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                name = path.relative_to(folder).as_posix()
                await _one(image_service, path, name, Path(scratch), report, truths.get(name))
            report.peak_bytes = image_service.stats["peak_bytes"]
    return report


async def run_made_up() -> Report:
    """The project's own corpus."""
    files = made_up()
    with tempfile.TemporaryDirectory() as folder:
        for name, (data, _) in files.items():
            (Path(folder) / name).write_bytes(data)
        return await run(Path(folder), {name: truth for name, (_, truth) in files.items() if truth is not None})


async def _one(
    image_service: ImageService, path: Path, name: str, scratch: Path, report: Report, truth: Pixels | None
) -> None:
    began_s, too_slow = time.monotonic(), image_service.stats["too_slow"]
    try:
        delivered = await _delivered(image_service, path, scratch)
    except WorkerFault:
        report.crashed.append(name)
        return
    except InputError as error:
        if image_service.stats["too_slow"] > too_slow:
            report.hung.append(name)
        elif isinstance(error, DamagedImage) and error.detail == "codec_crash":
            report.crashed.append(name)
        else:
            _count(report, error, name)
        return
    finally:
        report.slowest = max(report.slowest, (time.monotonic() - began_s, name))
    report.accepted += 1
    wanted = meaning(path) if truth is None else truth
    if wanted is not None:
        report.off[name] = difference(wanted, _rgba(Image.open(delivered)))


def _count(report: Report, error: InputError, name: str) -> None:
    reason = error.code
    if isinstance(error, UnsupportedFormat):
        reason += f" {error.format}"
    elif isinstance(error, NotAnImage):
        reason += f" {error.detected}"
    elif isinstance(error, DamagedImage | ImageTooCostly):
        report.damaged.append(name)
    report.refused[reason] += 1


async def _delivered(image_service: ImageService, path: Path, scratch: Path) -> Path:
    sent, back = scratch / "sent", scratch / "back"
    prepared = await image_service.prepare(path, sent)
    await image_service.enlarge(sent, back, 1)
    transparent = "alpha_flattened" in prepared.notes
    await image_service.postprocess(await image_service.strip_result(back), path, transparent=transparent)
    return back


def meaning(path: Path) -> Pixels | None:
    """The file as RGBA in sRGB by Pillow; None where it cannot tell."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as picture:
            head = path.read_bytes()[:4096]
            if picture.format == "PNG" and any(chunk in head for chunk in _COLOUR_CHUNKS):
                return None
            if picture.mode.startswith(("I", "F")) or getattr(picture, "is_animated", False) or _misread(picture):
                return None
            profile = picture.info.get("icc_profile")
            upright = ImageOps.exif_transpose(picture)
            return _rgba(upright if profile is None else _managed(upright, profile))
    except Exception:
        return None


def _misread(picture: Any) -> bool:
    """Signed samples, which Pillow takes for unsigned, and GIF frames around which it puts a colour."""
    if picture.format == "TIFF":
        return any(kind != 1 for kind in picture.tag_v2.get(339, (1,)))
    return picture.format == "GIF" and tuple(picture.tile[0][1]) != (0, 0, *picture.size)


def _managed(picture: Image.Image, profile: bytes) -> Image.Image:
    alpha = picture.getchannel("A") if picture.mode in ("RGBA", "LA") else None
    colours = picture.convert({"RGBA": "RGB", "P": "RGB", "LA": "L"}.get(picture.mode, picture.mode))
    try:
        shown = Image.fromarray(pictures.as_srgb(colours, profile).astype(np.uint8))
    except ImageCms.PyCMSError:
        shown = colours.convert("RGB")
    if alpha is not None:
        shown.putalpha(alpha)
    return shown


def _rgba(picture: Image.Image) -> Pixels:
    return np.asarray(picture.convert("RGBA")).astype(float)


def difference(wanted: Pixels, found: Pixels) -> float:
    """The mean of 0 to 255 over every sample that can be seen; 255 for another size."""
    if wanted.shape != found.shape:
        return 255.0
    lit = [np.dstack([p[:, :, :3] * p[:, :, 3:] / 255, p[:, :, 3:]]) for p in (wanted, found)]
    return float(np.abs(lit[0] - lit[1]).mean())


def main() -> int:
    """Prints the table; 1 where a file crashed, hung or changed its colours."""
    if len(sys.argv) > 2 or (len(sys.argv) == 2 and not Path(sys.argv[1]).is_dir()):
        print("usage: python -m tests.tools.corpus [DIR]", file=sys.stderr)
        return 2
    report = asyncio.run(run(Path(sys.argv[1])) if len(sys.argv) == 2 else run_made_up())
    print("\n".join(report.lines()))
    return 1 if report.crashed or report.hung or report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
