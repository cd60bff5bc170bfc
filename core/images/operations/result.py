"""What `core.images.service` hands back, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.domain.media_types import suffix_for
from core.images.facts import FittedKind, ImageFacts, Note


@dataclass(frozen=True, slots=True)
class Prepared:
    """The file for the model. `source` is what came in; `notes` are what the member should be told about."""

    path: Path
    mime: str
    width_px: int
    height_px: int
    bytes: int
    sha256: str
    notes: tuple[Note, ...]
    source: ImageFacts

    @classmethod
    def from_json(cls, path: Path, found: dict[str, Any]) -> Prepared:
        """From a worker's answer."""
        return cls(
            path=path,
            mime=found["mime"],
            width_px=found["width_px"],
            height_px=found["height_px"],
            bytes=found["bytes"],
            sha256=found["sha256"],
            notes=tuple(found["notes"]),
            source=ImageFacts(**found["source"]),
        )


@dataclass(frozen=True, slots=True)
class _Written:
    """A picture that was written to `path`."""

    path: Path
    mime: str
    width_px: int
    height_px: int
    bytes: int

    @property
    def suffix(self) -> str:
        """A file name ending that fits the bytes."""
        return suffix_for(self.mime)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enlarged(_Written):
    """A larger picture; `network_share` (0 to 1) is how much of the network's difference to Lanczos is in it."""

    network_share: float


@dataclass(frozen=True, slots=True)
class Converted(_Written):
    """The same picture in another format."""


@dataclass(frozen=True, slots=True)
class Cropped:
    """A part of a picture, written as a PNG: where it lies and how large it is, in pixels."""

    path: Path
    left: int
    top: int
    width: int
    height: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Preview(_Written):
    """A reduced picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared(_Written):
    """Before and after in one picture: of the most detailed part, and with two `rows` of the most changed one below."""

    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted(_Written):
    """A picture in the bytes that were allowed; `kind` says what was done to it. `path` is the original's own then."""

    kind: FittedKind


@dataclass(frozen=True, slots=True)
class StrippedResult:
    """A result with true facts (after cleaning) and the SHA-256 of its bytes."""

    path: Path
    facts: ImageFacts
    sha256: str
