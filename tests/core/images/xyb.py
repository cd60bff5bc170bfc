"""A JPEG in XYB, as jpegli writes it: its ICC profile has a lookup table, cubes and a matrix."""

import io
import struct
from typing import Any

import numpy as np
from PIL import Image

from core.images.operations.colour_management.tone_mapping import D50, SRGB, to_xyz
from tests.core.images.icc import fixed, profile, xyz

_BIAS = 0.0037930732552754493
_OPSIN = np.array(
    [[0.3, 0.622, 0.078], [0.23, 0.692, 0.078], [0.24342268924547819, 0.20476744424496821, 0.5518098665095536]]
)
_OFFSETS = np.array([0.015386134, 0, 0.27770459])
_SCALES = np.array([22.995788804, 1.183000077, 1.502141333])


def jpeg(picture: Image.Image) -> bytes:
    """The image with the profile that its colours need."""
    unit = np.asarray(picture) / 255.0
    light = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    roots = np.cbrt(light @ _OPSIN.T + _BIAS) - _BIAS ** (1 / 3)
    x, y = (roots[:, :, 0] - roots[:, :, 1]) / 2, (roots[:, :, 0] + roots[:, :, 1]) / 2
    samples = (np.dstack([x, y, roots[:, :, 2] - y]) + _OFFSETS) * _SCALES
    out = io.BytesIO()
    stored = Image.fromarray((samples.clip(0, 1) * 255).round().astype(np.uint8))
    stored.save(out, "JPEG", quality=100, subsampling=0, keep_rgb=True, icc_profile=_profile())
    return out.getvalue()


def _roots(samples: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    x, y, b = samples / _SCALES - _OFFSETS
    return np.asarray(np.array([y + x, y - x, b + y]) + _BIAS ** (1 / 3))


def _profile() -> bytes:
    corners = np.array([_roots(np.array([a, b, c])) for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    low, span = corners.min(), np.ptp(corners)
    table = bytes([2, 2, 2]) + bytes(13) + b"\2\0\0\0"
    table += ((corners - low) / span * 65535).round().astype(">u2").tobytes()
    line = b"para\0\0\0\0\0\0\0\0" + fixed(1)
    cube = b"para\0\0\0\0\0\2\0\0" + fixed(3, span, low, 0)
    matrix = to_xyz(SRGB).numpy() @ np.linalg.inv(_OPSIN) * (32768 / 65535)
    parts = (line * 3, fixed(*matrix.ravel(), *(matrix @ np.full(3, -_BIAS))), cube * 3, table, line * 3)
    places = [32 + sum(len(part) for part in parts[:i]) for i in range(5)]
    lut = b"mAB \0\0\0\0\3\3\0\0" + struct.pack(">5I", *places) + b"".join(parts)
    text = b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", 6, 28) + "XYB".encode("utf-16-be") + b"\0\0"
    tags = {b"desc": text, b"cprt": text, b"wtpt": xyz(D50), b"A2B0": lut}
    return profile(tags, 0x04400000, b"scnr")
