"""How similar a result is to its source."""

from dataclasses import dataclass
from typing import Literal

Position = Literal[
    "top_left", "top", "top_right", "left", "centre", "right", "bottom_left", "bottom", "bottom_right"
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Similarity:
    """How much of the source's structure the result kept, and the ninth of it that changed most, if one stands out."""

    percent: int
    most_changed: Position | None
