"""Reads directories of a TIFF or BigTIFF, and writes copies of a file with a changed directory."""

import contextlib
import itertools
import shutil
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.images.operations.containers import Data, mapped, tiff_directories

_CODES: Final = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_LONG: Final = 4
_KIND, _PHOTOMETRIC, _INNER = 254, 262, 330
_SMALLER: Final = 1
_MAX_READ: Final = 16
"""Directories that are read."""
_OF_CAMERAS: Final = (32803, 34892)
"""Photometric values of raw files: colour filter array, and linear raw."""
_MAX_ENTRIES: Final = 4096


@dataclass(frozen=True, slots=True)
class Directory:
    """Entries by tag as (type, bytes); empty if the file is broken."""

    path: Path
    order: str
    large: bool
    entries: Mapping[int, tuple[int, bytes]]

    def __contains__(self, tag: int) -> bool:
        return tag in self.entries

    def all(self, tag: int) -> tuple[int, ...]:
        """Return the tag's integers; empty if the tag is missing or of another type."""
        kind, raw = self.entries.get(tag, (0, b""))
        return struct.unpack(f"{self.order}{len(raw) // _BYTES[kind]}{_CODES[kind]}", raw) if kind in _CODES else ()

    def one(self, tag: int, default: int = 1) -> int:
        return (self.all(tag) or (default,))[0]

    def copy(self, name: str, values: Mapping[int, int], parts: Mapping[int, tuple[int, int]]) -> Path:
        """Copy the file, with `values` replaced and lists reduced to one of several equal `parts`; return its path.

        Both by tag; a part is (index, count). Raises OSError.
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
    return next(_directories(path))


def main_directory(path: Path) -> tuple[Directory, bool]:
    """Return the directory of the full image, also if a thumbnail is first, and whether the file is camera raw."""
    first, *others = itertools.islice(_directories(path), _MAX_READ)
    if not first.one(_KIND, 0) & _SMALLER:
        return first, first.one(_PHOTOMETRIC) in _OF_CAMERAS
    others += [inner for at in first.all(_INNER)[:_MAX_READ] for inner in itertools.islice(_directories(path, at), 1)]
    whole = (directory for directory in others if directory.entries and not directory.one(_KIND, 0) & _SMALLER)
    found = next(whole, None)
    is_raw = any(directory.one(_PHOTOMETRIC) in _OF_CAMERAS for directory in others)
    return read(found.copy("main", {}, {})) if found and not is_raw else first, is_raw


def _directories(path: Path, first: int | None = None) -> Iterator[Directory]:
    """Read the chain at offset `first` (default: the file's own); yields an empty directory if there is none."""
    with mapped(path) as data:
        order, large = "<" if data[:2] == b"II" else ">", data[2:4] in (b"+\0", b"\0+")
        found = False
        with contextlib.suppress(struct.error):
            for _, start, end in tiff_directories(data, first):
                yield Directory(path, order, large, _entries(data, order, large, start, end))
                found = True
        if not found:
            yield Directory(path, order, large, {})


def _entries(data: Data, order: str, large: bool, start: int, end: int) -> dict[int, tuple[int, bytes]]:
    offset, field_bytes = ("Q", 8) if large else ("I", 4)
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
