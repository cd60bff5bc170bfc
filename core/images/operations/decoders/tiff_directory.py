"""The first directory of a TIFF or BigTIFF, and copies of a file in which it says something else."""

import shutil
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.images.operations.containers import Data, mapped, tiff_directories

_CODES: Final = {1: "B", 3: "H", 4: "I", 16: "Q"}
_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_LONG: Final = 4
_MAX_ENTRIES: Final = 4096


@dataclass(frozen=True, slots=True)
class Directory:
    """Entries by tag, each as its type and its bytes; none where the file is broken."""

    path: Path
    order: str
    large: bool
    entries: Mapping[int, tuple[int, bytes]]

    def __contains__(self, tag: int) -> bool:
        return tag in self.entries

    def all(self, tag: int) -> tuple[int, ...]:
        """The whole numbers; none where the tag is missing, or holds something else."""
        kind, raw = self.entries.get(tag, (0, b""))
        return struct.unpack(f"{self.order}{len(raw) // _BYTES[kind]}{_CODES[kind]}", raw) if kind in _CODES else ()

    def one(self, tag: int, default: int = 1) -> int:
        """The first number."""
        return (self.all(tag) or (default,))[0]

    def copy(self, name: str, values: Mapping[int, int], parts: Mapping[int, tuple[int, int]]) -> Path:
        """A copy beside the file in which `values` are other, and of lists only one of so many equal parts stands.

        Both by tag; a part is its number and how many there are. Raises OSError.
        """
        made = self.path.with_name(f"{self.path.name}.{name}.{self.path.stat().st_mtime_ns}")
        if made.exists():
            return made
        entries = dict(self.entries)
        entries |= {tag: (_LONG, struct.pack(f"{self.order}I", value)) for tag, value in values.items() if tag in self}
        for tag, (part, of) in parts.items():
            kind, raw = entries.pop(tag, (1, b""))
            size = len(raw) // _BYTES[kind] // of * _BYTES[kind]
            if size:
                entries[tag] = kind, raw[part * size : (part + 1) * size]
        shutil.copyfile(self.path, made)
        with made.open("r+b") as file:
            end = file.seek(0, 2)
            at = file.seek(end + end % 2)
            file.write(self._packed(entries, at))
            file.seek(8 if self.large else 4)
            file.write(struct.pack(f"{self.order}{'Q' if self.large else 'I'}", at))
        return made

    def _packed(self, entries: Mapping[int, tuple[int, bytes]], at: int) -> bytes:
        number, offset, field_bytes = ("Q", "Q", 8) if self.large else ("H", "I", 4)
        table, more = struct.pack(self.order + number, len(entries)), b""
        at += len(table) + len(entries) * (4 + 2 * field_bytes) + field_bytes
        for tag, (kind, raw) in sorted(entries.items()):
            table += struct.pack(f"{self.order}HH{offset}", tag, kind, len(raw) // _BYTES[kind])
            if len(raw) <= field_bytes:
                table += raw.ljust(field_bytes, b"\0")
            else:
                table += struct.pack(self.order + offset, at + len(more))
                more += raw
        return table + bytes(field_bytes) + more


def read(path: Path) -> Directory:
    """Reads the file's head and first directory."""
    with mapped(path) as data:
        order, large = "<" if data[:2] == b"II" else ">", data[2:4] in (b"+\0", b"\0+")
        try:
            return Directory(path, order, large, _entries(data, order, large))
        except (struct.error, StopIteration):
            return Directory(path, order, large, {})


def _entries(data: Data, order: str, large: bool) -> dict[int, tuple[int, bytes]]:
    offset, field_bytes = ("Q", 8) if large else ("I", 4)
    _, start, end = next(tiff_directories(data))
    entry_bytes = 4 + 2 * field_bytes
    found = {}
    for at in range(start, min(end, len(data) - entry_bytes + 1, start + _MAX_ENTRIES * entry_bytes), entry_bytes):
        tag, kind, count = struct.unpack_from(f"{order}HH{offset}", data, at)
        size, place = count * _BYTES.get(kind, 0), at + entry_bytes - field_bytes
        if size > field_bytes:
            [place] = struct.unpack_from(order + offset, data, place)
        if 0 < size <= len(data) - place:
            found[tag] = kind, data[place : place + size]
    return found
