"""Pixel work without pixels."""

import hashlib
from collections import defaultdict, deque
from pathlib import Path

from core.domain.errors import (
    DamagedImage,
    ImageTooSmall,
    NotAnImage,
)
from core.images.service import ImageFacts, ImageLimits, PreparedImage, StrippedResult


def fake_picture(width_px: int = 600, height_px: int = 400, salt: str = "") -> bytes:
    """Bytes that `FakeImages` takes for a PNG of this size."""
    return b"\x89PNG" + f" {width_px}x{height_px} {salt}".encode()


class FakeImages:
    """Pixel work without pixels: the size stands in the file. `errors` are raised by the next calls of a name."""

    def __init__(self) -> None:
        self.limits = ImageLimits()
        self.errors: dict[str, deque[BaseException]] = defaultdict(deque)

    async def prepare(self, path: Path, out_path: Path) -> PreparedImage:
        facts = self._facts("prepare", path)
        out_path.write_bytes(path.read_bytes())
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        return PreparedImage(out_path, facts.mime, facts.width_px, facts.height_px, facts.bytes, sha256, (), facts)

    async def blank(self, path: Path) -> str | None:
        data = path.read_bytes()
        return "black" if b"black" in data else "flat" if b"grey" in data else None

    async def postprocess(
        self,
        result: StrippedResult,
        source: Path | None,
        *,
        transparent: bool = False,
        size_px: tuple[int, int] | None = None,
        dpi: tuple[float, float] | None = None,
    ) -> StrippedResult:
        if size_px is None:
            return result
        if size_px > (result.facts.width_px, result.facts.height_px):
            raise ImageTooSmall(width_px=size_px[0], height_px=size_px[1], min_side_px=1)
        result.path.write_bytes(fake_picture(*size_px, salt=f"dpi={dpi}" if dpi else ""))
        return StrippedResult(result.path, self._facts("postprocess", result.path), "")

    async def crop_detail(self, path: Path, out_path: Path, factor: float) -> None:
        side = int(1_000 / factor)
        out_path.write_bytes(fake_picture(side, side, salt="detail"))

    async def similarity(self, sent: Path, result: Path) -> None:
        """Not measured: there are no pixels."""

    async def strip_result(self, path: Path) -> StrippedResult:
        return StrippedResult(path, self._facts("strip_result", path), "")

    def _facts(self, call: str, path: Path) -> ImageFacts:
        if self.errors[call]:
            raise self.errors[call].popleft()
        data = path.read_bytes()
        if not data.startswith(b"\x89PNG"):
            raise NotAnImage(detected=None)
        try:
            width, height = data.split()[1].split(b"x")
            size = int(width), int(height)
        except (ValueError, IndexError):
            raise DamagedImage from None
        return ImageFacts("png", "image/png", *size, 1, False, False, 1, len(data))
