"""Converts samples of any type and colour space to 8-bit sRGB."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyvips

from core.domain.media_types import Format
from core.images.facts import ImageFacts, ImageLimits
from core.images.operations import load as loading
from core.images.operations.colour_management.profiles import ColourSpace, colour_space_of, to_srgb_by
from core.images.operations.colour_management.tone_mapping import as_srgb
from core.images.operations.decoders.tiff import MIN_IS_WHITE

_WHITES: Final[dict[str, tuple[float, ...]]] = {
    "float": (1.0, 255.0, 65535.0),
    "double": (1.0, 255.0, 65535.0),
    "uint": (255.0, 65535.0, 2.0**32 - 1),
    "int": (255.0, 65535.0, 2.0**31 - 1),
    "short": (255.0, 32767.0),
    "char": (127.0,),
}
"""Candidates for white in samples that are not unsigned 8 or 16 bits, in ascending order."""

_DARKEST_SHARE = 1 / 16
_OVERSHOOT = 0.25
"""Floats below 0 by up to this share of white come from sharpening or a wider colour space, and are black."""

_FINISHED_SPACES = ("lab", "labs", "labq", "lch", "xyz", "yxy", "hsv")


@dataclass(frozen=True, slots=True)
class Rendering:
    """How samples become sRGB: by `profile` (None: they are sRGB), after scaling from `black`–`white`."""

    profile: ColourSpace | None
    black: float = 0.0
    white: float = 0.0


def rendering_of(path: Path, kind: Format, image: Any) -> Rendering:
    """Determine the conversion. Reads all pixels if the range of the samples must be known."""
    profile = colour_space_of(path, kind, image)
    if image.format not in _WHITES or image.interpretation in _FINISHED_SPACES:
        return Rendering(profile)
    colours = _split(loading.load(path, kind))[0]
    table = colours.stats()
    darkest, brightest = _range(image.format, table(0, 0)[0], table(1, 0)[0])
    if image.get_typeof(MIN_IS_WHITE):
        darkest, brightest = brightest, darkest
    return Rendering(profile, darkest, brightest)


def _range(sample: str, low: float, high: float) -> tuple[float, float]:
    if not (math.isfinite(low) and math.isfinite(high)):
        return 0.0, 1.0
    if low < 0:
        bits = {"char": 7, "short": 15, "int": 31}.get(sample)
        if bits is not None:
            return -(2.0**bits), 2.0**bits - 1
        if low < -_OVERSHOOT * high:
            return low, high
    white = next((white for white in _WHITES[sample] if high <= white), high)
    return 0.0, white if high >= white * _DARKEST_SHARE else high


def to_srgb(image: Any, rendering: Rendering) -> Any:
    """Convert to 8 bits, grey or RGB, keeping alpha, without a profile. Lazy; an sRGB JPEG is unchanged."""
    colours, alpha = _split(image)
    if colours.interpretation == "lab":  # under D50, as programs for print write it
        colours = colours.icc_export(output_profile="srgb", intent="relative", depth=8)
    elif colours.interpretation in _FINISHED_SPACES:
        colours = colours.colourspace("srgb")
    elif colours.format in _WHITES:
        span = rendering.white - rendering.black or 1.0
        scaled = ((colours - rendering.black) * (65535 / span) + 0.5).cast("ushort")
        space = "grey16" if colours.bands < 3 else "rgb16"
        colours = scaled.copy(interpretation="cmyk" if colours.interpretation == "cmyk" else space)
    colours = _rgb(colours, rendering.profile)
    colours = colours if alpha is None else colours.bandjoin(alpha)
    if colours.get_typeof("icc-profile-data"):
        colours = colours.copy()
        colours.remove("icc-profile-data")
    return colours


def _rgb(colours: Any, profile: ColourSpace | None) -> Any:
    if colours.interpretation == "cmyk":
        profile = profile if isinstance(profile, bytes) else None
        return to_srgb_by(colours, profile) if profile is not None else _plain_cmyk(_to_8_bits(colours))
    if colours.bands not in (1, 3):
        colours = colours[0:3] if colours.bands > 3 else colours[0]
    if profile is not None and not isinstance(profile, bytes):
        return as_srgb(colours, profile)
    is_16_bit = colours.format == "ushort"
    if profile is None:
        return _to_8_bits(colours).copy(interpretation="b-w" if colours.bands == 1 else "srgb")
    if colours.bands == 1 and profile[16:20] == b"RGB ":
        colours = colours.bandjoin([colours, colours])
    names = ("grey16", "rgb16") if is_16_bit else ("b-w", "srgb")
    return to_srgb_by(colours.copy(interpretation=names[colours.bands == 3]), profile)


def _plain_cmyk(inks: Any) -> Any:
    """Convert CMYK without a profile as browsers do: each ink absorbs its light, so that K alone is black."""
    light = 255 - inks
    return ((light[0:3] * light[3]) / 255).rint().cast("uchar").copy(interpretation="srgb")


def _to_8_bits(image: Any) -> Any:
    return (image >> 8).cast("uchar") if image.format == "ushort" else image.cast("uchar")


def _split(image: Any) -> tuple[Any, Any | None]:
    """Split into colours, and alpha as 8 bits."""
    if not image.hasalpha():
        return image, None
    count = image.bands - 1
    alpha = image[count]
    if alpha.format not in ("uchar", "ushort"):
        most = {"char": 127.0, "short": 32767.0, "uint": 2.0**32 - 1, "int": 2.0**31 - 1}.get(alpha.format, 1.0)
        alpha = (alpha * (255 / most)).rint().cast("uchar")
    return image.extract_band(0, n=count).copy(interpretation=image.interpretation), _to_8_bits(alpha)


def upright_srgb(path: Path, kind: Format) -> Any:
    """Load the upright image as `to_srgb` converts it. Lazy."""
    return to_srgb(loading.upright(path, kind), rendering_of(path, kind, loading.load(path, kind)))


def open_srgb(path: Path, limits: ImageLimits) -> tuple[ImageFacts, Any]:
    """Check an image; return its facts and `upright_srgb`. Raises Refused."""
    facts, _ = loading.examine(path, limits)
    return facts, upright_srgb(path, facts.format)


def reduced_srgb(path: Path, facts: ImageFacts, side_px: int) -> Any:
    """Like `upright_srgb`, with the longest side at most about twice `side_px`; JPEG is reduced while decoding.

    Lazy, to be read once, from top to bottom.
    """
    longest = max(facts.width_px, facts.height_px)
    image = loading.load(path, facts.format)
    rendering = rendering_of(path, facts.format, image)
    if facts.format == "jpeg" and longest >= side_px * 4:
        shrink = next(s for s in (8, 4, 2) if longest // s >= side_px * 2)
        image = pyvips.Image.jpegload(str(path), shrink=shrink, access="sequential", fail_on="error")
    small = to_srgb(image, rendering)
    if longest > (side := side_px * 2):
        small = small.thumbnail_image(side, height=side, size="down", auto_rotate=False)
    return small if facts.orientation == 1 else small.copy_memory().autorot()


def over_white(image: Any) -> Any:
    return image.flatten(background=255) if image.hasalpha() else image


def value_range(image: Any) -> float:
    """Return the largest range of values in any band. Reads every pixel."""
    table = image.stats()
    return max(float(table(1, band)[0] - table(0, band)[0]) for band in range(1, image.bands + 1))
