"""The TIFFs of the generated corpus, and its source images."""

import io
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyvips
import tifffile
from PIL import Image

from tests.core.images import pictures
from tests.core.images.pictures import tiff_of

Pixels = np.ndarray[Any, Any]
Made = tuple[bytes, Pixels | None]
"""A file and its RGBA in sRGB; None if Pillow reads it correctly."""

SCENE = pictures.scene()
RGB = np.asarray(SCENE).astype(float)
UNIT = RGB / 255
GREY = np.asarray(pictures.scene(mode="L")).astype(float)


def rgba(samples: Pixels) -> Pixels:
    """Grey, RGB or RGBA of 0 to 255 as RGBA."""
    samples = np.dstack([samples] * 3) if samples.ndim == 2 else samples
    opaque = np.full((*samples.shape[:2], 1), 255.0)
    return samples if samples.shape[2] == 4 else np.concatenate([samples, opaque], axis=2)


def plain_tiffs() -> Iterator[tuple[str, Made]]:
    for compression in ("packbits", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "zstd", "lzma", "lerc"):
        yield f"{compression}.tif", (pictures.encoded(SCENE, "TIFF", compression=compression), None)
    for mode in ("L", "1", "P"):
        yield f"mode-{mode}.tif", (pictures.encoded(SCENE.convert(mode), "TIFF"), None)
    for kind in ("f2", "f4", "f8", "u2", "u4", "u8", "i1", "i2", "i4", "i8"):
        top = 1.0 if kind[0] == "f" else float(np.iinfo(kind).max) * (0.998 if kind[1] in "48" else 1)
        for name, values in (("rgb", UNIT), ("grey", GREY / 255)):
            for order in "<>":
                data = tiff_of((values * top).astype(order + kind), byteorder=order)
                yield f"{name}-{kind}-{'big' if order == '>' else 'little'}.tif", (data, rgba(values * 255))
    yield "signed.tif", (tiff_of((UNIT * 65535 - 32768).round().astype("i2")), rgba(RGB))
    yield "overshooting.tif", (tiff_of((UNIT * 1.1 - 0.05).astype("f4")), rgba((UNIT * 1.1 - 0.05).clip(0, 1) * 255))
    for kind, top in (("u1", 255), ("u2", 65535), ("u4", 2**32 - 1), ("i2", 32767), ("f4", 1.0), ("f8", 1.0)):
        inverted = (top - GREY / 255 * top).astype(kind)
        yield f"min-is-white-{kind}.tif", (tiff_of(inverted, photometric="miniswhite"), rgba(GREY))
    for name, options in (("tiled", {"tile": (16, 16)}), ("large", {"bigtiff": True}), ("strips", {"rowsperstrip": 7})):
        yield f"{name}.tif", (tiff_of(np.asarray(SCENE), **options), None)
    for kind, top in (("u1", 255), ("u2", 65535), ("f8", 1.0)):
        planes = np.ascontiguousarray((UNIT * top).astype(kind).transpose(2, 0, 1))
        for large in (False, True):
            for tile in (None, (32, 32)):
                name = f"planes-{kind}{'-large' if large else ''}{'-tiles' if tile else ''}.tif"
                data = tiff_of(planes, planarconfig="separate", bigtiff=large, tile=tile, compression="zlib")
                yield name, (data, rgba(RGB))
    for inner in (False, True):
        yield f"small-copy-first-{inner}.tif", (small_copy_first(inner=inner), rgba(RGB))
    for order in "<>":
        yield f"tiles-f8-{order == '>'}.tif", (tiff_of(UNIT.astype(f"{order}f8"), tile=(32, 16)), rgba(RGB))
    idle = np.dstack([np.asarray(SCENE), np.zeros((64, 96, 2), np.uint8)])
    for count in (1, 2):
        yield f"idle-{count}.tif", (tiff_of(idle[:, :, : 3 + count], extrasamples=["unspecified"] * count), rgba(RGB))
    inks = np.asarray(SCENE.convert("CMYK"))
    yield "ink-f4.tif", (tiff_of((inks / 255).astype("f4"), photometric="separated"), rgba(RGB))
    clear = np.asarray(pictures.see_through())
    lit = clear.copy()
    lit[:, :, :3] = (clear[:, :, :3] * (clear[:, :, 3:] / 255)).round()
    for name, values, extra in (
        ("u1", clear, "unassalpha"), ("u2", clear.astype("u2") * 257, "unassalpha"),
        ("f4", (clear / 255).astype("f4"), "unassalpha"), ("lit", lit, "assocalpha"),
    ):  # fmt: skip
        yield f"alpha-{name}.tif", (tiff_of(values, extrasamples=[extra]), clear.astype(float))
    spot = np.dstack([clear, clear[:, :, 1]])
    yield "alpha-and-spot.tif", (tiff_of(spot, extrasamples=["unassalpha", "unspecified"]), clear.astype(float))
    yield from _labs(clear)


def _labs(clear: Pixels) -> Iterator[tuple[str, Made]]:
    """As Photoshop writes them: under D50, CIELab with signed a and b, and ICCLab."""
    image = pyvips.Image.new_from_array(np.asarray(SCENE)).copy(interpretation="srgb")
    lab = image.icc_import(input_profile="srgb", intent="relative").numpy().astype(float)
    for bits, step in ((8, 1), (16, 256)):
        full = 256 * step
        a_b = (lab[:, :, 1:] * step).round()
        for name, photometric, numbers in (("lab", 8, a_b % full), ("icc-lab", 9, a_b + full // 2)):
            values = np.dstack([(lab[:, :, 0] * (full - 1) / 100).round(), numbers]).astype(f"u{bits // 8}")
            yield f"{name}-{bits}.tif", (tiff_of(values, photometric=photometric), rgba(RGB))
    planes = np.ascontiguousarray(values.transpose(2, 0, 1))
    yield "lab-planes.tif", (tiff_of(planes, photometric=9, planarconfig="separate"), rgba(RGB))
    through = np.dstack([values, clear[:, :, 3].astype("u2") * 257])
    yield "lab-alpha.tif", (tiff_of(through, photometric=9, extrasamples=["unassalpha"]), clear.astype(float))


def small_copy_first(*, inner: bool, photometric: str = "rgb") -> bytes:
    """As cameras and scanners write it: a thumbnail first, and the image after or below it."""
    out = io.BytesIO()
    whole = np.asarray(SCENE) if photometric == "rgb" else np.asarray(SCENE.convert("L"))
    with tifffile.TiffWriter(out) as file:
        small = np.asarray(SCENE.resize((24, 16)))
        file.write(small, photometric="rgb", subfiletype=1, subifds=int(inner))
        file.write(whole, photometric=photometric)
    return out.getvalue()


def odd_tiffs() -> Iterator[tuple[str, Made]]:
    for bits in (2, 4, 6, 10, 12, 14):
        for name, values in (("rgb", UNIT), ("grey", GREY / 255)):
            numbers = np.round(values * (2**bits - 1)).astype(int)
            samples = 3 if name == "rgb" else 1
            data = packed(numbers.reshape(64, -1), bits)
            shown = rgba(numbers * 255.0 / (2**bits - 1))
            yield f"{name}-{bits}-bits.tif", (_raw_tiff(data, 2 if samples == 3 else 1, bits, samples), shown)
    for name, values, photometric, samples in (("rgb", UNIT, 2, 3), ("grey", GREY / 255, 1, 1)):
        whole = np.round(values * (2**24 - 1)).astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
        yield f"{name}-24-bits.tif", (_raw_tiff(whole, photometric, 24, samples), rgba(values * 255))
        small = (339, 3, (3,) * samples)
        yield (
            f"{name}-f3.tif",
            (_raw_tiff(_floats_of_24_bits(values), photometric, 24, samples, small), rgba(values * 255)),
        )
    ten = np.round(UNIT * 1023).astype(int)
    planes = [packed(ten[:, :, i], 10) for i in range(3)]
    at = tuple(8 + i * len(planes[0]) for i in range(3))
    layout = ((273, 4, at), (279, 4, (len(planes[0]),) * 3), (284, 3, (2,)))
    yield "planes-10-bits.tif", (_raw_tiff(b"".join(planes), 2, 10, 3, *layout), rgba(ten * 255 / 1023))
    ycc = np.asarray(SCENE.convert("YCbCr"))
    whole = ycc.tobytes()
    yield "ycbcr.tif", (_raw_tiff(whole, 6, 8, 3, (530, 3, (1, 1))), rgba(RGB))
    halved = b"".join(
        bytes([*ycc[y : y + 2, x : x + 2, 0].ravel(), *ycc[y : y + 2, x : x + 2, 1:].mean(axis=(0, 1)).astype(int)])
        for y in range(0, 64, 2)
        for x in range(0, 96, 2)
    )
    shown = ycc.astype(float)
    for band in (1, 2):
        shown[:, :, band] = np.kron(shown[:, :, band].reshape(32, 2, 48, 2).mean(axis=(1, 3)), np.ones((2, 2)))
    decoded = np.asarray(Image.fromarray(shown.astype(np.uint8), "YCbCr").convert("RGB")).astype(float)
    yield "ycbcr-halved.tif", (_raw_tiff(halved, 6, 8, 3, (530, 3, (2, 2))), rgba(decoded))
    jpeg = pictures.encoded(SCENE, "JPEG", quality=95, subsampling=0)
    stream = ((512, 3, (1,)), (513, 4, (8,)), (514, 4, (len(jpeg),)), (530, 3, (1, 1)))
    old = _raw_tiff(jpeg, 6, 8, 3, *stream, compression=6)
    yield "old-jpeg.tif", (old, rgba(pictures.pixels(jpeg).astype(float)))
    yield "lab.tif", (pictures.encoded(Image.merge("LAB", [pictures.scene(mode="L")] * 3), "TIFF"), None)


def packed(numbers: Pixels, bits: int) -> bytes:
    """Pack rows of numbers, from the highest bit down."""
    spread = (numbers[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(spread.astype(np.uint8).reshape(len(numbers), -1), axis=1).tobytes()


def _floats_of_24_bits(values: Pixels) -> bytes:
    """24-bit floats, rounded down: sign, 7 bits of exponent and 16 of mantissa."""
    bits = values.astype("<f4").view("<u4").astype(np.int64)
    small = np.where(values > 0, ((bits >> 23) - 127 + 63 << 16) | (bits & 0x7FFFFF) >> 7, 0)
    return small.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def _raw_tiff(
    data: bytes,
    photometric: int,
    bits: int,
    samples: int,
    *more: tuple[int, int, tuple[int, ...]],
    compression: int = 1,
) -> bytes:
    """A TIFF of 96 by 64 with one strip after the header."""
    size = len(data) + (len(data) & 1)
    entries = [
        (256, 4, (96,)), (257, 4, (64,)), (258, 3, (bits,) * samples), (259, 3, (compression,)),
        (262, 3, (photometric,)), (273, 4, (8,)), (277, 3, (samples,)), (278, 4, (64,)), (279, 4, (len(data),)),
    ]  # fmt: skip
    entries = [entry for entry in entries if entry[0] not in {tag for tag, _, _ in more}] + list(more)
    table, extra, at = struct.pack("<H", len(entries)), b"", 8 + size + 2 + 12 * len(entries) + 4
    for tag, kind, values in sorted(entries):
        raw = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        table += struct.pack("<HHI", tag, kind, len(values))
        table += raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack("<I", at + len(extra))
        extra += raw if len(raw) > 4 else b""
    return b"II*\0" + struct.pack("<I", 8 + size) + data.ljust(size, b"\0") + table + bytes(4) + extra
