"""Enlarges by Lanczos, as a lazy libvips pipeline."""

import math
from typing import Any

import pyvips

VipsImage = Any

_LOBES = 3
_CACHE_ROWS = 32


def enlarge(image: VipsImage, scale_x: float, scale_y: float) -> VipsImage:
    """Enlarge an 8-bit image by factors from 1 up, by Lanczos with 3 lobes, streaming.

    libvips enlarges by a bicubic filter, whatever kernel it is given. So the image is enlarged to the next whole factor
    by the sampled kernel, horizontally and then vertically, each phase normalised so that flat areas stay flat; then
    libvips reduces it by Lanczos to the exact size. As fast as libvips' bicubic (48 megapixels: 2.5 s of one core,
    including the encoding).
    """
    width, height = round(image.width * scale_x), round(image.height * scale_y)
    whole = math.ceil(max(scale_x, scale_y) - 1e-9)
    mode = image.interpretation
    if whole > 1:
        rows = image.height
        image = image.embed(0, _LOBES + 1, image.width, rows + 2 * (_LOBES + 1), extend="copy")
        image = _taller(_wider(image, whole), whole)
        image = image.crop(0, (_LOBES + 1) * whole, image.width, rows * whole).copy(interpretation=mode)
    if (image.width, image.height) == (width, height):
        return image
    # The reduction reads rows more than once.
    return _whole_rows(image).resize(width / image.width, vscale=height / image.height, kernel="lanczos3")


def _wider(image: VipsImage, whole: int) -> VipsImage:
    """Run one convolution per phase between two pixels, join them as bands and unfold those into columns.

    In whole rows, because libvips 8.18 unfolds a tile that begins between two interleaved pixels wrongly.
    """
    places = range(-_LOBES, _LOBES + 1)
    phases = []
    for phase in range(whole):
        taps = [_lanczos((phase + 0.5) / whole - (place + 0.5)) for place in places]
        phases.append(_convolved(image, [[tap / sum(taps) for tap in taps]]))
    return _whole_rows(phases[0].bandjoin(phases[1:]).bandunfold(factor=whole))


def _whole_rows(image: VipsImage) -> VipsImage:
    """Compute in strips over the full width, each once, and cache them while the next step reads them again."""
    return image.linecache(tile_height=_CACHE_ROWS, access="sequential", threaded=True)


def _taller(image: VipsImage, whole: int) -> VipsImage:
    """Insert black rows, which the taps take into account, because rows cannot be interleaved in a stream."""
    block = pyvips.Image.black(image.width, whole).draw_rect(255, 0, whole // 2, image.width, 1, fill=True)
    spread = image.zoom(1, whole) & block.copy_memory().replicate(1, image.height)
    count = 2 * _LOBES * whole + 1
    offset = count // 2 + whole // 2
    taps = [_lanczos((i - offset - 0.5) / whole + 0.5) for i in range(count)]
    sums = [sum(taps[phase::whole]) for phase in range(whole)]
    return _convolved(spread, [[tap / sums[i % whole]] for i, tap in enumerate(taps)])


def _convolved(image: VipsImage, taps: list[list[float]]) -> VipsImage:
    return (image.conv(pyvips.Image.new_from_array(taps), precision="float") + 0.5).cast("uchar")


def _lanczos(x: float) -> float:
    if abs(x) < 1e-9:
        return 1.0
    if abs(x) >= _LOBES:
        return 0.0
    return _LOBES * math.sin(math.pi * x) * math.sin(math.pi * x / _LOBES) / (math.pi * x) ** 2
