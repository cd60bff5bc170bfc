"""Draws one chart in a process of its own: a `Drawing` as JSON on standard input, a PNG on standard output."""

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from core.images.confinement import confine

_INCHES = (10.0, 5.6)
_DPI = 160
_FONTS = (
    "Inter",
    "Noto Sans",
    "DejaVu Sans",
    "Noto Sans CJK JP",
    "Noto Sans JP",
    "IPAexGothic",
    "IPAGothic",
    "TakaoGothic",
    "Hiragino Sans",
    "Yu Gothic",
    "Meiryo",
)
_SERIES = ("#4C8DFF", "#22B8A0", "#F5A623", "#EE5F96", "#9B6BF2")
_GREY = "#8B93A1"


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours for the backgrounds of chat programs."""

    background: str
    text: str
    faint: str
    grid: str
    budget: str


_DARK = Theme("#1E1F24", "#F2F3F5", "#A3A8B3", "#34363E", "#FF6B6B")
_LIGHT = Theme("#FFFFFF", "#1A1C22", "#6B7280", "#E6E8EC", "#D92D3A")


def main() -> None:
    """Confined, because member names are untrusted input."""
    confine(read=[Path.home() / ".fonts", Path.home() / ".local/share/fonts"], write=())
    spec = json.load(sys.stdin.buffer)
    sys.stdout.buffer.write(draw(spec))


def draw(spec: dict[str, Any]) -> bytes:
    # The installed fonts of our list, and their characters; DejaVu Sans comes with matplotlib.
    files = {entry.name: entry.fname for entry in font_manager.fontManager.ttflist}
    fonts = {name: frozenset(font_manager.get_font(files[name]).get_charmap()) for name in _FONTS if name in files}
    mpl.rcParams["font.family"] = list(fonts)
    mpl.rcParams["text.parse_math"] = False  # a $ is a dollar
    words = _readable(spec, frozenset().union(*fonts.values()))
    theme = _DARK if spec["dark"] else _LIGHT
    figure = Figure(figsize=_INCHES, dpi=_DPI, facecolor=theme.background)
    figure.text(0.045, 0.905, words["title"], color=theme.text, fontsize=27, fontweight="bold", va="center")
    figure.text(0.046, 0.83, words["subtitle"], color=theme.faint, fontsize=12.5, va="center")
    if not any(sum(bar) > 0 for bar in spec["values"]):
        figure.text(0.5, 0.42, words["empty"], color=theme.faint, fontsize=15, ha="center")
    elif spec["kind"] == "members":
        _members(figure, spec, words, theme)
    else:
        _time(figure, spec, words, theme)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor=theme.background)
    return buffer.getvalue()


def _time(figure: Figure, spec: dict[str, Any], words: dict[str, Any], theme: Theme) -> None:
    legend = len(words["names"]) > 1
    left = max(0.06, 0.028 + max(_width(figure, tick, 11) for tick in words["ticks"]))
    axes = figure.add_axes((left, 0.165 if legend else 0.1, 0.955 - left, 0.575 if legend else 0.64))
    colours = _colours(len(words["names"]), grey_last=spec["grey_last"])
    count = len(spec["values"])
    width = 0.72 if count > 3 else 0.3
    top = max(spec["ticks"][-1], 1e-9)
    _frame(axes, theme)
    axes.set_xlim(-0.6, count - 0.4)
    axes.set_ylim(0, top * 1.02)
    for at, bar in enumerate(spec["values"]):
        _stack(axes, at, bar, colours, width, top, theme)
    axes.set_yticks(spec["ticks"], words["ticks"])
    named = [at for at, label in enumerate(words["bars"]) if label]
    axes.set_xticks(named, [words["bars"][at] for at in named])
    if count <= 12:
        _totals(axes, spec, words, theme, top)
    if words["budget"]:
        figure.text(0.955, 0.905, words["budget"], color=theme.budget, fontsize=12.5, ha="right", va="center")
    if spec["budget"] is not None:
        axes.axhline(spec["budget"], color=theme.budget, linewidth=1.6, linestyle=(0, (5, 3)), zorder=5)
    if legend:
        _legend(figure, words["names"], colours, theme)


def _stack(axes: Axes, at: int, bar: list[float], colours: list[str], width: float, top: float, theme: Theme) -> None:
    """Draw one stacked bar, with a thin line of background between its parts."""
    bottom = 0.0
    for value, colour in zip(bar, colours, strict=True):
        if value > 0:
            axes.bar(at, value, width, bottom=bottom, color=colour, zorder=3, linewidth=0)
            if bottom > 0:
                axes.hlines(bottom, at - width / 2, at + width / 2, colors=theme.background, linewidth=1.0, zorder=4)
        bottom += value
    if 0 < bottom < top * 0.004:  # else invisible
        axes.bar(at, top * 0.004, width, color=colours[0], zorder=3, linewidth=0)


def _totals(axes: Axes, spec: dict[str, Any], words: dict[str, Any], theme: Theme, top: float) -> None:
    for at, bar in enumerate(spec["values"]):
        if sum(bar) > 0:
            height = sum(bar) + top * 0.015
            axes.text(
                at, height, words["totals"][at], color=theme.text, fontsize=10.5, ha="center", va="bottom", zorder=6
            )


def _members(figure: Figure, spec: dict[str, Any], words: dict[str, Any], theme: Theme) -> None:
    axes = figure.add_axes((0.24, 0.08, 0.62, 0.68))
    values = [bar[0] for bar in spec["values"]]
    colours = [*[_SERIES[0]] * (len(values) - 1), _GREY if spec["grey_last"] else _SERIES[0]]
    _frame(axes, theme)
    axes.grid(visible=False)
    axes.set_xlim(0, max(values) * 1.02)
    axes.set_ylim(max(len(values), 4) - 0.5, -0.5)
    axes.barh(range(len(values)), values, 0.62, color=colours, zorder=3)
    axes.set_xticks([])
    axes.set_yticks(range(len(values)), words["bars"])
    axes.tick_params(axis="y", labelsize=12.5, labelcolor=theme.text)
    for at, value in enumerate(values):
        axes.annotate(words["totals"][at], (value, at), xytext=(8, 0), textcoords="offset points", color=theme.text,
                      fontsize=12, va="center", annotation_clip=False)  # fmt: skip


def _frame(axes: Axes, theme: Theme) -> None:
    axes.set_facecolor(theme.background)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, labelcolor=theme.faint, labelsize=11, pad=6)
    axes.grid(axis="y", color=theme.grid, linewidth=1, zorder=0)
    axes.set_axisbelow(True)


def _legend(figure: Figure, names: list[str], colours: list[str], theme: Theme) -> None:
    widths = sum(0.046 + _width(figure, name, 11.5) for name in names)
    if widths > 0.93:  # shorten long names
        names = [name[: max(4, int(len(name) * 0.93 / widths) - 2)] + "…" if len(name) > 8 else name for name in names]
    squares = [Rectangle((0, 0), 1, 1, color=colour) for colour in colours]
    figure.legend(squares, names, loc="center left", bbox_to_anchor=(0.046, 0.051), ncols=len(names), frameon=False,
                  fontsize=11.5, labelcolor=theme.text, handlelength=1.0, handleheight=1.0, handletextpad=0.6,
                  columnspacing=2.0, borderpad=0, borderaxespad=0)  # fmt: skip


def _width(figure: Figure, text: str, fontsize: float) -> float:
    """The width of the text as a share of the figure's."""
    written = figure.text(0, 0, text, fontsize=fontsize)
    width = float(written.get_window_extent().width) / (_INCHES[0] * _DPI)
    written.remove()
    return width


def _colours(count: int, *, grey_last: bool) -> list[str]:
    colours = [_SERIES[at % len(_SERIES)] for at in range(count)]
    if grey_last:
        colours[-1] = _GREY
    return colours


def _readable(spec: dict[str, Any], known: frozenset[int]) -> dict[str, Any]:
    """The reader's texts, or English if no font can show them. Characters of names that no font has are left out."""
    words = dict(spec["words"])
    ours = [words["title"], words["subtitle"], words["empty"], words["budget"], *words["ticks"], *words["totals"]]
    if spec["kind"] == "time":
        ours += words["bars"]
    if not all(ord(letter) in known for text in ours for letter in text):
        words = dict(spec["words_en"])
    for key in ("names", "bars"):
        written = ["".join(letter for letter in name if ord(letter) in known).strip() for name in words[key]]
        if key == "names" or spec["kind"] == "members":
            marks = words["marks"] + [""] * len(written)
            written = [name or mark for name, mark in zip(written, marks, strict=False)]
        words[key] = written
    return words


if __name__ == "__main__":
    main()
