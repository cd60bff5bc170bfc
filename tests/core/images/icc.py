"""Builds ICC profiles."""

import struct
from collections.abc import Callable

from core.images.operations.colour_management.tone_mapping import D50, to_xyz

_CURVE_POINTS = 4096


def fixed(*values: float) -> bytes:
    """Encode numbers as s15Fixed16."""
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def xyz(values: tuple[float, ...]) -> bytes:
    """An XYZ tag."""
    return b"XYZ \0\0\0\0" + fixed(*values)


def profile(tags: dict[bytes, bytes], version: int, kind: bytes, space: bytes = b"RGB ") -> bytes:
    """A profile with these tags and XYZ as connection space."""
    at = 132 + 12 * len(tags)
    index = struct.pack(">I", len(tags))
    for name, body in tags.items():
        index += name + struct.pack(">II", at, len(body))
        at += len(body) + -len(body) % 4
    head = struct.pack(">I4sI4s4s4s12x4s28x", at, bytes(4), version, kind, space, b"XYZ ", b"acsp")
    bodies = b"".join(body + bytes(-len(body) % 4) for body in tags.values())
    return (head + fixed(*D50)).ljust(128, b"\0") + index + bodies


def linear_grey() -> bytes:
    tags = {b"wtpt": xyz(D50), b"kTRC": b"curv" + bytes(8)}
    return profile(tags, 0x02400000, b"mntr", b"GRAY")


def display(primaries: tuple[float, ...], white: tuple[float, float], curve: Callable[[float], float]) -> bytes:
    """A version 2 profile with a matrix to D50 and one curve for all three colours."""
    points = [round(min(1.0, max(0.0, curve(i / (_CURVE_POINTS - 1)))) * 65535) for i in range(_CURVE_POINTS)]
    trc = b"curv\0\0\0\0" + struct.pack(f">I{_CURVE_POINTS}H", _CURVE_POINTS, *points)
    name = b"made by code\0"
    columns = [tuple(column) for column in to_xyz(primaries, white).numpy().T]
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": xyz(D50),
        **{name: xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), trc),
    }
    return profile(tags, 0x02400000, b"mntr")
