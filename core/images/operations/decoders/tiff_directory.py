"""The first directory of a TIFF or BigTIFF, and copies of a file in which it says something else."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

_CODES: Final = {1: "B", 3: "H", 4: "I", 16: "Q"}
_LONG: Final = 4
_MAX_ENTRIES: Final = 4096
_MAX_NUMBERS: Final = 64


@dataclass(frozen=True, slots=True)
class _Entry:
    at: int
    kind: int
    count: int
    values_at: int
    numbers: tuple[int, ...]
    """The first few of them."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Entries that hold whole numbers, by tag; none where the file is broken."""

    path: Path
    order: str
    large: bool
    entries: Mapping[int, _Entry]

    def __contains__(self, tag: int) -> bool:
        return tag in self.entries

    def all(self, tag: int) -> tuple[int, ...]:
        """The first 64 numbers; none where the tag is missing."""
        return self.entries[tag].numbers if tag in self.entries else ()

    def one(self, tag: int, default: int = 1) -> int:
        """The first number."""
        return (self.all(tag) or (default,))[0]

    def copy(self, name: str, values: Mapping[int, int], parts: Mapping[int, tuple[int, int]]) -> Path:
        """A copy beside the file in which `values` are other, and of lists only one of so many equal parts stands.

        Both by tag; a part is its number and how many there are. Raises OSError; struct.error for broken lists.
        """
        made = self.path.with_name(f"{self.path.name}.{name}.{self.path.stat().st_mtime_ns}")
        if made.exists():
            return made
        shutil.copyfile(self.path, made)
        with made.open("r+b") as file:
            for tag, value in values.items():
                if tag in self.entries:
                    self._write(file, tag, _LONG, 1, struct.pack(f"{self.order}I", value))
            for tag, (part, of) in parts.items():
                if tag in self.entries:
                    self._shorten(file, tag, part, of)
        return made

    def _shorten(self, file: BinaryIO, tag: int, part: int, of: int) -> None:
        entry = self.entries[tag]
        size, count = struct.calcsize(_CODES[entry.kind]), entry.count // of
        at = entry.values_at + part * count * size
        if count * size <= self._field_bytes:
            file.seek(at)
            self._write(file, tag, entry.kind, count, file.read(count * size))
        else:
            self._write(file, tag, entry.kind, count, struct.pack(f"{self.order}{'Q' if self.large else 'I'}", at))

    def _write(self, file: BinaryIO, tag: int, kind: int, count: int, field: bytes) -> None:
        file.seek(self.entries[tag].at)
        head = struct.pack(f"{self.order}HH{'Q' if self.large else 'I'}", tag, kind, count)
        file.write(head + field.ljust(self._field_bytes, b"\0"))

    @property
    def _field_bytes(self) -> int:
        return 8 if self.large else 4


def read(path: Path) -> Directory:
    """Reads the file's head and first directory."""
    with path.open("rb") as file:
        head = file.read(16)
        order = "<" if head[:2] == b"II" else ">"
        large = head[2:4] in (b"+\0", b"\0+")
        try:
            return Directory(path, order, large, dict(_entries(file, head, order, large)))
        except struct.error:
            return Directory(path, order, large, {})


def _entries(file: BinaryIO, head: bytes, order: str, large: bool) -> list[tuple[int, _Entry]]:
    number, offset, field = ("Q", "Q", 8) if large else ("H", "I", 4)
    [at] = struct.unpack_from(order + offset, head, 8 if large else 4)
    file.seek(at)
    number_bytes, entry_bytes = struct.calcsize(number), 4 + 2 * field
    [entries] = struct.unpack(order + number, file.read(number_bytes))
    block = file.read(entry_bytes * min(entries, _MAX_ENTRIES))
    found = []
    for i in range(0, len(block) - entry_bytes + 1, entry_bytes):
        tag, kind, count = struct.unpack_from(f"{order}HH{offset}", block, i)
        code = _CODES.get(kind)
        if code is None or not count:
            continue
        place = at + number_bytes + i
        if count * struct.calcsize(code) > field:
            [values_at] = struct.unpack_from(order + offset, block, i + 4 + field)
        else:
            values_at = place + 4 + field
        shown = min(count, _MAX_NUMBERS)
        file.seek(values_at)
        numbers = struct.unpack(f"{order}{shown}{code}", file.read(shown * struct.calcsize(code)))
        found.append((tag, _Entry(place, kind, count, values_at, numbers)))
    return found
