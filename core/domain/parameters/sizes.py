"""Target sizes instead of a factor: `4k`, `3000x`, `3840x2160`, `a4@300dpi`, `30x20cm@300dpi`, `$0.50`. Pure.

A target is stored as its canonical text and becomes a factor once the image's size is known. The result keeps the
image's proportions and fits inside the target. Named and paper sizes rotate with the image, explicit ones do not.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from core.domain.errors import TargetUnreachable
from core.domain.models import ModelSpec
from core.domain.money import factor_within, may_mean_thousands, output_size
from core.domain.parameters.spec import Parameters

NAMED = {
    "720p": (1280, 720),
    "1080p": (1920, 1080),
    "1440p": (2560, 1440),
    "4k": (3840, 2160),
    "8k": (7680, 4320),
}
"""Width and height in pixels."""

_PAPERS_MM = {f"a{n}": size for n, size in enumerate([(841, 1189), (594, 841), (420, 594), (297, 420), (210, 297)])} | {
    "a5": (148, 210),
    "a6": (105, 148),
    "letter": (215.9, 279.4),
    "legal": (215.9, 355.6),
}
"""ISO 216 and ANSI."""

_UNIT_MM = {"mm": 1.0, "cm": 10.0, "in": 25.4, "inch": 25.4, '"': 25.4}
_DEFAULT_DPI = 300
_DPI = (36, 2400)
_MIN_SIDE_PX, MAX_SIDE_PX = 16, 100_000
_MAX_INCHES = 100
_NUMBER = r"\d{1,6}(?:[.,]\d{1,4})?"
_PIXELS = re.compile(r"(\d{1,6})?x(\d{1,6})?(?:px)?")
_PRINT = re.compile(rf"(?:([a-z]\w{{0,5}})|({_NUMBER})x({_NUMBER})(mm|cm|in|inch|\"))(?:@(\d{{1,5}})(?:dpi|ppi)?)?")
_MONEY = re.compile(rf"\$?({_NUMBER}|[.,]\d{{1,4}})(?:\$|usd)?")
EXAMPLES = "4k, a4@300dpi, max=$0.50"
ALLOWED = "4k, 3840x2160, width=3000, a4@300dpi, max=$0.50"
EXAMPLE_OF = {"width": "width=3000", "height": "height=2000", "max": "max=$0.50"}
_ONE = r"(?<![\w.,=:@/-])(\d{1,4}(?:[.,]\d{1,4})?)"
_TIMES = re.compile(
    _ONE + r"(?:\s*倍|\s*-?(?:times|fold|fach|mal|fois|veces|vezes)\b|\s[x×](?!\w|\s*\d))", re.IGNORECASE
)
_BY = re.compile(r"(?<![\w.,=:/-])(?:[x×]|by)\s" + _ONE + r"(?![\w%])", re.IGNORECASE)
_K = re.compile(r"(?<![\w.,])(\d)\s(?=k\b)", re.IGNORECASE)
_SIDE = r"(\d{1,5}(?:[.,]\d{1,2})?)"
_SIDES = re.compile(
    rf"(?<![\w.,/\"“-]){_SIDE}(?:\s?(px|mm|cm|in|inch|[\"”″]))?(?:[x×*]|\s(?:[x×*]|by)\s){_SIDE}"
    r"(?:(\s?)(px|mm|cm|in|inch)\b|([\"”″]))?(?![\w.,]*\d)",
    re.IGNORECASE,
)
_DENSITY = re.compile(
    rf"(?<![\w.,/-])(a[0-6]|letter|legal|{_SIDE}x{_SIDE}(?:mm|cm|in|inch))\s?(?:@|at|in|mit|à|a|con|com)?\s?(\d{{2,4}})\s?[dp]pi\b",
    re.IGNORECASE,
)
_CENTS = re.compile(r"(?<![\w.,])(\d{1,2})\s?(?:cents?|ct|¢)(?!\w)", re.IGNORECASE)
_UNIT_APART = re.compile(r"(?<=\d)\s(?=(?:%|€|£|¥|円|eur|euros?|pounds?|yen)(?!\w))", re.IGNORECASE)
_KANJI = "[\u3001\u3002\u3040-\u30ff\u4e00-\u9fff\uff01]"
_AMID_KANJI = re.compile(rf"(?<!\S)({_KANJI}*)(\d+(?:[.,]\d+)?(?:[kpx×%ｋｘ％]|倍))({_KANJI}*)(?!\S)", re.IGNORECASE)
FACTOR_STEPS = 10_000
"""Factors are rounded up to 1/10,000, so that the model's output is never too small."""


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed `text`: a box in pixels (None: unbounded), or the maximum to spend. `turns`: rotates with the image."""

    text: str
    width_px: int | None = None
    height_px: int | None = None
    turns: bool = False
    dpi: int | None = None
    max_nanousd: int | None = None

    @property
    def resembles_factor(self) -> bool:
        """Whether it is one side alone, and of a few pixels: `2x` means a factor."""
        return None in (self.width_px, self.height_px) and 0 < (self.width_px or self.height_px or 0) < _MIN_SIDE_PX

    def box(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Return the size of an image of these proportions inside the box, each side at least 1."""
        scale = self.scale(width_px, height_px)
        return max(1, round(width_px * scale)), max(1, round(height_px * scale))

    def scale(self, width_px: int, height_px: int) -> Fraction:
        """Return the exact factor by which the image fits the box."""
        across, down = self.width_px, self.height_px
        if self.turns and across and down and (width_px > height_px) != (across > down):
            across, down = down, across
        sides = [Fraction(box, side) for box, side in ((across, width_px), (down, height_px)) if box]
        return min(sides)


def join_sizes(text: str) -> str:
    """Join numbers and their units to one word: `2 times`, `by 2`, `2倍` (`2x`), `30 x 20 cm`, `a4 at 300 dpi`.

    Amounts keep their currency, so that "max 50 cents" and "max 50 euros" are not taken for 50 dollars. Japanese has
    no spaces around them: `4Kにして`.
    """
    text = _UNIT_APART.sub("", _CENTS.sub(lambda found: f"$0.{int(found[1]):02}", _AMID_KANJI.sub(r"\1 \2 \3", text)))
    text = _SIDES.sub(_joined_sides, _K.sub(r"\1", text))
    return _DENSITY.sub(r"\1@\4dpi", _BY.sub(r"\1x", _TIMES.sub(r"\1x ", text)))


def _joined_sides(found: re.Match[str]) -> str:
    across, own, down, apart, unit, inches = found.groups()
    if own and own.lower() != (inches or unit or "").lower():  # "30cm x 20in"
        return found[0]
    if apart and unit.lower() == "in" and max(float(side.replace(",", ".")) for side in (across, down)) > _MAX_INCHES:
        return f"{across}x{down} in"  # "640x480 in colour"
    return f"{across}x{down}{'in' if inches else (unit or '').lower()}"


def as_typed(target: str) -> str:
    """Format a canonical target as people write it: `width=3000`, `max=$0.50`, `4k`."""
    if target.startswith("$"):
        return f"max={target}"
    name = {0: "height=", len(target) - 1: "width="}.get(target.find("x"), "")
    return f"{name}{target.strip('x')}" if name else target


def parse_target(name: str, text: str) -> Target | None:
    """Parse `name=text`, where the name is `to`, `size`, `width`, `height` or `max`; None if it is no target."""
    word = text.strip().lower().replace("×", "x").replace(" ", "")
    if "=" in word:
        name, _, word = word.partition("=")
    if name == "width":
        word = f"{word.removesuffix('px')}x"
    elif name == "height":
        word = f"x{word.removesuffix('px')}"
    if name == "max" or "$" in word or word.endswith("usd"):
        found = _MONEY.fullmatch(word)
        if found is None or may_mean_thousands(found[1]):
            return None
        amount = Decimal(found[1].replace(",", "."))
        text = f"${amount:.2f}" if amount == round(amount, 2) else f"${amount.normalize():f}"
        return Target(text, max_nanousd=int(amount * 10**9)) if amount > 0 else None
    if word in NAMED:
        return Target(word, *NAMED[word], turns=True)
    if (pixels := _PIXELS.fullmatch(word)) and (pixels[1] or pixels[2]):
        across, down = (int(side) if side else None for side in pixels.groups())
        if any(side is not None and not 1 <= side <= MAX_SIDE_PX for side in (across, down)):
            return None
        return Target(f"{across or ''}x{down or ''}", across, down)
    return _printed(word)


def _printed(word: str) -> Target | None:
    found = _PRINT.fullmatch(word)
    if found is None:
        return None
    paper, across, down, unit, dpi = found.groups()
    density = int(dpi) if dpi else _DEFAULT_DPI
    if paper is not None and paper not in _PAPERS_MM:
        return None
    size_mm: tuple[float, ...] = _PAPERS_MM[paper] if paper is not None else ()
    size_mm = size_mm or tuple(float(side.replace(",", ".")) * _UNIT_MM[unit] for side in (across, down))
    sides = [round(side / 25.4 * density) for side in size_mm]
    if not _DPI[0] <= density <= _DPI[1] or not all(1 <= side <= MAX_SIDE_PX for side in sides):
        return None
    size = paper or f"{across}x{down}{unit}"
    return Target(f"{size}@{density}dpi", sides[0], sides[1], turns=paper is not None, dpi=density)


def target_of(text: str) -> Target:
    """Parse a canonical text. Raises ValueError for any other."""
    found = parse_target("to", text)
    if found is None:
        raise ValueError(text)
    return found


def factor_for(width_px: int, height_px: int, out: tuple[int, int], largest: float) -> float | None:
    """Return the smallest factor whose output is at least `out`, however it is rounded; None if above `largest`."""
    needed = max(Fraction(out[0], width_px), Fraction(out[1], height_px))
    if needed > Fraction(largest):
        return None
    step = math.ceil(needed * FACTOR_STEPS)
    factor = step / FACTOR_STEPS
    while math.floor(width_px * factor) < out[0] or math.floor(height_px * factor) < out[1]:
        step += 1  # at most once or twice, to compensate for float rounding
        factor = step / FACTOR_STEPS
    return min(factor, largest)


_UNLIMITED_MEGAPIXELS = 10**9
"""What any amount pays for if a megapixel costs nothing."""


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """The factor that the model gets, and the size to which its output is then reduced; `dpi` for prints."""

    factor: float
    width_px: int
    height_px: int
    dpi: int | None = None


def plan_output(
    parameters: Parameters,
    width_px: int,
    height_px: int,
    priced: Sequence[tuple[ModelSpec, int]],
    *,
    largest: Callable[[float], float | None],
) -> OutputPlan:
    """Compute how an image reaches the requested factor or size.

    `priced` are models with their nano-dollars per megapixel: first the job's own, then those on offer. `largest(f)`
    is the largest factor up to `f` that the size limits allow. Raises TargetUnreachable with alternatives.
    """
    if parameters.to is None:
        return OutputPlan(parameters.factor, *output_size(width_px, height_px, parameters.factor))
    target = target_of(parameters.to)
    by_amount = target.max_nanousd is not None
    out = (width_px, height_px) if by_amount else target.box(width_px, height_px)

    def factor_by(one: ModelSpec, price: int) -> float | None:
        """Return None if this model cannot reach the target."""
        if target.max_nanousd is None:
            return factor_for(width_px, height_px, out, one.largest_factor)
        units = target.max_nanousd // price if price else _UNLIMITED_MEGAPIXELS
        bound = largest(one.largest_factor)
        return factor_within(width_px, height_px, units, below=bound) if bound is not None else None

    model, price = priced[0]
    reason: Literal["already_larger", "beyond_model", "amount"]
    offer, able = None, ""
    if not by_amount and (target.scale(width_px, height_px) <= 1 or out == (width_px, height_px)):
        reason, offer = "already_larger", largest(min(2.0, model.largest_factor))
    elif (factor := factor_by(model, price)) is not None:
        return OutputPlan(factor, *(output_size(width_px, height_px, factor) if by_amount else out), target.dpi)
    else:
        reason = "amount" if by_amount else "beyond_model"
        offer = None if by_amount else largest(model.largest_factor)
        able = next((one.id for one, price in priced if factor_by(one, price) is not None), "")
    raise TargetUnreachable(
        reason=reason,
        target=target.text,
        width_px=width_px,
        height_px=height_px,
        model=model.id,
        largest_factor=offer,
        other_model=able,
    )
