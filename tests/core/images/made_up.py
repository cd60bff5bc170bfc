"""The project's own corpus, made by code: every kind that is promised, with what its numbers mean."""

import base64
import io
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pillow_heif
import pyvips
import tifffile
from PIL import Image

from core.images.operations.colour_management import profiles
from tests.core.images import pictures, xyb

_BEZIER = ((1.0, 1.65, 1_000 / 203), (0.5, 0.825, 1.0))
_BT2020_TO_SRGB = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))

_ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYVpQ"
    "YEpRUk//yQALCAAQABABAREA/8wABgAQEAX/2gAIAQEAAD8A/wB4cUbln/uJJIZ26eq4W4lV1d8VBom3zNz/2Q=="
)
"""A grey ramp of 16 by 16, by libjpeg-turbo's cjpeg -arithmetic: nothing else here writes them."""

Pixels = np.ndarray[Any, Any]
Made = tuple[bytes, Pixels | None]
"""A file, and its RGBA in sRGB; None where Pillow reads it rightly."""

PROFILES = ("p3", "adobe", "prophoto", "monitor", "bt2020")
_SCENE = pictures.scene()
_RGB = np.asarray(_SCENE).astype(float)
_UNIT = _RGB / 255
_GREY = np.asarray(pictures.scene(mode="L")).astype(float)


def rgba(samples: Pixels) -> Pixels:
    """Grey, RGB or RGBA of 0 to 255 as RGBA."""
    samples = np.dstack([samples] * 3) if samples.ndim == 2 else samples
    opaque = np.full((*samples.shape[:2], 1), 255.0)
    return samples if samples.shape[2] == 4 else np.concatenate([samples, opaque], axis=2)


def made_up() -> dict[str, Made]:
    """By file name."""
    found: dict[str, Made] = {}
    for make in (_colours, _jpegs, _pngs, _tiffs, _odd_tiffs, _bmps, _moving, _high_efficiency):
        found |= dict(make())
    return found


def _colours() -> Iterator[tuple[str, Made]]:
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"):
        yield f"plain.{kind}", (pictures.encoded(_SCENE, kind), None)
    for profile in PROFILES:
        icc = pictures.colour_profile(profile)
        for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
            options = {"lossless": True} if kind == "WEBP" else {}
            yield f"{profile}.{kind}", (pictures.encoded(_SCENE, kind, icc_profile=icc, **options), None)
        yield f"{profile}.heic", (pictures.heic(_SCENE, icc_profile=icc), None)
        clear = pictures.encoded(pictures.see_through(), "PNG", icc_profile=icc)
        yield f"transparent-{profile}.png", (clear, None)
    for kind in ("PNG", "TIFF", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        yield f"transparent.{kind}", (pictures.encoded(pictures.see_through(), kind, **options), None)
    inks = np.zeros((64, 96, 4), np.uint8)
    inks[:, :32], inks[:, 32:64], inks[:, 64:, 0] = (0, 0, 0, 255), (200, 180, 180, 255), 120
    for kind in ("JPEG", "TIFF"):
        yield f"ink.{kind}", (pictures.encoded(Image.fromarray(inks, "CMYK"), kind), None)
    printed = _vips(np.asarray(_SCENE), "srgb").icc_transform("cmyk", input_profile="srgb")
    for ending, save in (("jpg", printed.jpegsave_buffer), ("tif", printed.tiffsave_buffer)):
        yield f"printed.{ending}", (bytes(save(keep="icc")), None)


def _vips(samples: Pixels, space: str) -> Any:
    return pyvips.Image.new_from_array(samples).copy(interpretation=space)


def _jpegs() -> Iterator[tuple[str, Made]]:
    for orientation in range(2, 9):
        yield f"turned-{orientation}.jpg", (pictures.encoded(_SCENE, "JPEG", exif=pictures.exif(orientation)), None)
    data = pictures.encoded(_SCENE, "JPEG", quality=95)
    whole = rgba(pictures.pixels(data).astype(float))
    tables, scan = data.index(b"\xff\xdb"), data.index(b"\xff\xda")
    yield "stray.jpg", (data[:tables] + b"ab" + data[tables:], whole)
    yield "stray-many.jpg", (data[:tables] + bytes(range(1, 100)) + data[tables:], whole)
    yield "stray-before-scan.jpg", (data[:scan] + b"\0\0ab" + data[scan:], whole)
    yield "filled.jpg", (data[:tables] + b"\xff" * 20 + data[tables:], whole)
    yield "no-end.jpg", (data[:-2], whole)
    yield "more-behind.jpg", (data + b"garbage" * 50, whole)
    yield "two-pictures.jpg", (data + data, whole)
    yield "arithmetic.jpg", (_ARITHMETIC, None)
    yield "height-told-twice.jpg", (data[:-2] + b"\xff\xdc\0\4\0\x40\xff\xd9", whole)
    yield "xyb.jpg", (xyb.jpeg(_SCENE), rgba(_RGB))
    grey = pictures.encoded(pictures.scene(mode="L"), "JPEG", icc_profile=pictures.colour_profile("p3"))
    yield "grey-by-rgb-profile.jpg", (grey, None)


def _pngs() -> Iterator[tuple[str, Made]]:
    for mode in ("L", "1", "P", "LA"):
        yield f"mode-{mode}.png", (pictures.encoded(_SCENE.convert(mode), "PNG"), None)
    plain = pictures.encoded(_SCENE, "PNG")
    deep = bytes(_vips((_RGB * 257).astype(np.uint16), "rgb16").pngsave_buffer(bitdepth=16))
    yield "deep.png", (deep, rgba(_RGB))
    yield "interlaced.png", (bytes(_vips(_RGB.astype(np.uint8), "srgb").pngsave_buffer(interlace=True)), None)
    for kind in (b"tEXt", b"zTXt", b"iTXt"):
        yield f"latin-1-{kind.decode()}.png", (pictures.png_with(plain, pictures.latin_1_text(kind)), None)
    for transfer in (16, 18):
        chunk = pictures.png_chunk(b"cICP", bytes((9, transfer, 0, 1)))
        yield f"codes-{transfer}.png", (pictures.png_with(plain, chunk), _of_hdr(transfer))
    by_p3 = pictures.as_srgb(_SCENE, pictures.colour_profile("p3", profiles.srgb_curve)).astype(float)
    for name, data in (("", plain), ("-deep", deep)):
        chunk = pictures.png_chunk(b"cICP", bytes((12, 13, 0, 1)))
        yield f"codes-p3{name}.png", (pictures.png_with(data, chunk), rgba(by_p3))
        for gamma in (100_000, 55_556, 35_000):
            chunk = pictures.png_chunk(b"gAMA", gamma.to_bytes(4, "big"))
            shown = rgba(_of_light(_UNIT ** (100_000 / gamma)))
            yield f"gamma-{gamma}{name}.png", (pictures.png_with(data, chunk), shown)
    video = rgba(pictures.as_srgb(_SCENE, pictures.colour_profile("bt2020")).astype(float))
    yield "codes-video.png", (pictures.png_with(plain, pictures.png_chunk(b"cICP", b"\x09\1\0\1")), video)
    for name, codes in (("unknown", b"\x0c\2\0\1"), ("narrow", b"\x09\x10\0\0")):
        yield f"codes-{name}.png", (pictures.png_with(plain, pictures.png_chunk(b"cICP", codes)), rgba(_RGB))
    gammas = [pictures.png_chunk(b"gAMA", gamma.to_bytes(4, "big")) for gamma in (100_000, 45_455)]
    broken = pictures.png_chunk(b"iCCP", b"x\0\0broken")
    for name, chunks in (("twice", gammas), ("and-broken-profile", [gammas[0], broken])):
        yield f"gamma-{name}.png", (pictures.png_with(plain, *chunks), rgba(_of_light(_UNIT)))
    yield "no-end.png", (plain[:-12], rgba(_RGB))
    hidden = pictures.encoded(_SCENE.rotate(180), "PNG", save_all=True, default_image=True, append_images=[_SCENE] * 2)
    yield "hidden-first.png", (hidden, rgba(_RGB))
    yield "wrong-sum.png", (plain[:-16] + b"abcd" + plain[-12:], rgba(_RGB))
    yield "wrong-sum-of-profile.png", (_with_spoilt_profile(plain), rgba(_RGB))


def _of_hdr(transfer: int) -> Pixels:
    """As Chromium 156 shows it: SMPTE ST 2094-50 from 1,000 nits, by numpy."""
    if transfer == 16:
        power = _UNIT ** (1 / 78.84375)
        nits = 10_000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
    else:
        scene = np.where(_UNIT <= 0.5, _UNIT**2 / 3, (np.exp((_UNIT - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        nits = 1_000 * scene * (scene @ (0.2627, 0.6780, 0.0593))[:, :, None] ** 0.2
    light = nits / 203
    most = light.max(axis=2, keepdims=True)
    t = np.linspace(0, 1, 4096)
    x, y = ((1 - t) ** 2 * first + 2 * t * (1 - t) * middle + t**2 * last for first, middle, last in _BEZIER)
    mapped = np.where(most < 1, most / 2, np.interp(most, x, y))
    return rgba(_of_light((light * mapped / np.maximum(most, 1e-9)) @ np.array(_BT2020_TO_SRGB).T).clip(0, 255))


def _with_spoilt_profile(plain: bytes) -> bytes:
    """Passed over by every decoder that checks the sum."""
    with_profile = pictures.encoded(_SCENE, "PNG", icc_profile=pictures.colour_profile("p3"))
    body = pictures.png_chunks(with_profile)[b"iCCP"]
    return pictures.png_with(plain, pictures.png_chunk(b"iCCP", body)[:-4] + b"abcd")


def _of_light(light: Pixels) -> Pixels:
    shown = np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    return np.asarray(shown * 255)


def _tiffs() -> Iterator[tuple[str, Made]]:
    for compression in ("packbits", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "zstd", "lzma", "lerc"):
        yield f"{compression}.tif", (pictures.encoded(_SCENE, "TIFF", compression=compression), None)
    for mode in ("L", "1", "P"):
        yield f"mode-{mode}.tif", (pictures.encoded(_SCENE.convert(mode), "TIFF"), None)
    for kind in ("f2", "f4", "f8", "u2", "u4", "u8", "i1", "i2", "i4", "i8"):
        top = 1.0 if kind[0] == "f" else float(np.iinfo(kind).max) * (0.998 if kind[1] in "48" else 1)
        for name, values in (("rgb", _UNIT), ("grey", _GREY / 255)):
            for order in "<>":
                data = _tiff((values * top).astype(order + kind), byteorder=order)
                yield f"{name}-{kind}-{'big' if order == '>' else 'little'}.tif", (data, rgba(values * 255))
    yield "signed.tif", (_tiff((_UNIT * 65535 - 32768).round().astype("i2")), rgba(_RGB))
    yield "overshooting.tif", (_tiff((_UNIT * 1.1 - 0.05).astype("f4")), rgba((_UNIT * 1.1 - 0.05).clip(0, 1) * 255))
    for kind, top in (("u1", 255), ("u2", 65535), ("u4", 2**32 - 1), ("i2", 32767), ("f4", 1.0), ("f8", 1.0)):
        inverted = (top - _GREY / 255 * top).astype(kind)
        yield f"min-is-white-{kind}.tif", (_tiff(inverted, photometric="miniswhite"), rgba(_GREY))
    for name, options in (("tiled", {"tile": (16, 16)}), ("large", {"bigtiff": True}), ("strips", {"rowsperstrip": 7})):
        yield f"{name}.tif", (_tiff(np.asarray(_SCENE), **options), None)
    for kind, top in (("u1", 255), ("u2", 65535), ("f8", 1.0)):
        planes = np.ascontiguousarray((_UNIT * top).astype(kind).transpose(2, 0, 1))
        for large in (False, True):
            for tile in (None, (32, 32)):
                name = f"planes-{kind}{'-large' if large else ''}{'-tiles' if tile else ''}.tif"
                data = _tiff(planes, planarconfig="separate", bigtiff=large, tile=tile, compression="zlib")
                yield name, (data, rgba(_RGB))
    for order in "<>":
        yield f"tiles-f8-{order == '>'}.tif", (_tiff(_UNIT.astype(f"{order}f8"), tile=(32, 16)), rgba(_RGB))
    idle = np.dstack([np.asarray(_SCENE), np.zeros((64, 96, 2), np.uint8)])
    for count in (1, 2):
        yield f"idle-{count}.tif", (_tiff(idle[:, :, : 3 + count], extrasamples=["unspecified"] * count), rgba(_RGB))
    inks = np.asarray(_SCENE.convert("CMYK"))
    yield "ink-f4.tif", (_tiff((inks / 255).astype("f4"), photometric="separated"), rgba(_RGB))
    clear = np.asarray(pictures.see_through())
    lit = clear.copy()
    lit[:, :, :3] = (clear[:, :, :3] * (clear[:, :, 3:] / 255)).round()
    for name, values, extra in (
        ("u1", clear, "unassalpha"), ("u2", clear.astype("u2") * 257, "unassalpha"),
        ("f4", (clear / 255).astype("f4"), "unassalpha"), ("lit", lit, "assocalpha"),
    ):  # fmt: skip
        yield f"alpha-{name}.tif", (_tiff(values, extrasamples=[extra]), clear.astype(float))


def _tiff(values: Pixels, **options: Any) -> bytes:
    out = io.BytesIO()
    grey = values.ndim == 2
    tifffile.imwrite(out, values, **{"photometric": "minisblack" if grey else "rgb", **options})
    return out.getvalue()


def _odd_tiffs() -> Iterator[tuple[str, Made]]:
    for bits in (2, 4, 6, 10, 12, 14):
        for name, values in (("rgb", _UNIT), ("grey", _GREY / 255)):
            numbers = np.round(values * (2**bits - 1)).astype(int)
            samples = 3 if name == "rgb" else 1
            data = _packed(numbers.reshape(64, -1), bits)
            shown = rgba(numbers * 255.0 / (2**bits - 1))
            yield f"{name}-{bits}-bits.tif", (_raw_tiff(data, 2 if samples == 3 else 1, bits, samples), shown)
    for name, values, photometric, samples in (("rgb", _UNIT, 2, 3), ("grey", _GREY / 255, 1, 1)):
        whole = np.round(values * (2**24 - 1)).astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
        yield f"{name}-24-bits.tif", (_raw_tiff(whole, photometric, 24, samples), rgba(values * 255))
        small = (339, 3, (3,) * samples)
        yield (
            f"{name}-f3.tif",
            (_raw_tiff(_floats_of_24_bits(values), photometric, 24, samples, small), rgba(values * 255)),
        )
    ten = np.round(_UNIT * 1023).astype(int)
    planes = [_packed(ten[:, :, i], 10) for i in range(3)]
    at = tuple(8 + i * len(planes[0]) for i in range(3))
    layout = ((273, 4, at), (279, 4, (len(planes[0]),) * 3), (284, 3, (2,)))
    yield "planes-10-bits.tif", (_raw_tiff(b"".join(planes), 2, 10, 3, *layout), rgba(ten * 255 / 1023))
    ycc = np.asarray(_SCENE.convert("YCbCr"))
    whole = ycc.tobytes()
    yield "ycbcr.tif", (_raw_tiff(whole, 6, 8, 3, (530, 3, (1, 1))), rgba(_RGB))
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
    jpeg = pictures.encoded(_SCENE, "JPEG", quality=95, subsampling=0)
    stream = ((512, 3, (1,)), (513, 4, (8,)), (514, 4, (len(jpeg),)), (530, 3, (1, 1)))
    old = _raw_tiff(jpeg, 6, 8, 3, *stream, compression=6)
    yield "old-jpeg.tif", (old, rgba(pictures.pixels(jpeg).astype(float)))
    yield "lab.tif", (pictures.encoded(Image.merge("LAB", [pictures.scene(mode="L")] * 3), "TIFF"), None)


def _packed(numbers: Pixels, bits: int) -> bytes:
    """Rows of numbers, each of so many bits from the highest down."""
    spread = (numbers[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(spread.astype(np.uint8).reshape(len(numbers), -1), axis=1).tobytes()


def _floats_of_24_bits(values: Pixels) -> bytes:
    """Rounded down: sign, 7 bits of exponent and 16 of mantissa."""
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
    """One strip of 96 by 64 behind the header."""
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


def _bmps() -> Iterator[tuple[str, Made]]:
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    row = np.array([0xFFC80000] * 8 + [0x8000C800] * 8, "<u4").tobytes()
    shown = np.zeros((16, 16, 4))
    shown[:, :8], shown[:, 8:] = (200, 0, 0, 255), (0, 200, 0, 128)
    yield "alpha.bmp", (pictures.bmp_of(32, row * 16, compression=3, masks=masks), shown)
    index = np.arange(256).reshape(16, 16).astype(np.uint8)
    for bits in (1, 2, 4, 8):
        numbers = index & (2**bits - 1)
        colours = b"".join(bytes([i * 255 // (2**bits - 1)] * 3 + [0]) for i in range(2**bits))
        packed = _packed(numbers[::-1].astype(int), bits)
        rows = b"".join(
            packed[i : i + 2 * bits].ljust((2 * bits + 3) // 4 * 4, b"\0") for i in range(0, 32 * bits, 2 * bits)
        )
        grey = rgba(numbers.astype(float) * 255 // (2**bits - 1))
        yield f"{bits}-bits.bmp", (pictures.bmp_of(bits, rows, colours=colours), grey)
        if bits == 8:
            runs = b"".join(bytes([0, 16]) + r.tobytes() + b"\0\0" for r in numbers[::-1]) + b"\0\1"
            yield "runs-8.bmp", (pictures.bmp_of(8, runs, compression=1, colours=colours), grey)
            skipped = b"\0\2\x04\x02" + bytes([9, 200]) + b"\0\1"
            spot = np.zeros((16, 16))
            spot[13, 4:13] = 200
            lit = b"\xff" * 4 + colours[4:]
            yield "skips-8.bmp", (pictures.bmp_of(8, skipped, compression=1, colours=lit), rgba(spot))
        if bits == 4:
            runs = b"".join(b"".join(bytes([1, n << 4]) for n in r) + b"\0\0" for r in numbers[::-1]) + b"\0\1"
            yield "runs-4.bmp", (pictures.bmp_of(4, runs, compression=2, colours=colours), grey)
    words = (index.astype("<u2") * 257)[::-1]
    five = rgba(np.dstack([(words[::-1] >> s & 31) * (255 / 31) for s in (10, 5, 0)]))
    yield "16-bits.bmp", (pictures.bmp_of(16, words.tobytes()), five)
    for name, bits_of in (("565", (0xF800, 0x7E0, 0x1F)), ("4444", (0xF00, 0xF0, 0xF, 0xF000))):
        parts = [(words[::-1] & mask) * (255 / mask) for mask in bits_of]
        shown = rgba(np.dstack(parts))
        yield f"16-bits-{name}.bmp", (pictures.bmp_of(16, words.tobytes(), compression=3, masks=bits_of), shown)
    ten = (index.astype("<u4") * 4)[::-1] * (1 << 20 | 1 << 10 | 1)
    shown = rgba(np.dstack([index.astype(float) * 4 * (255 / 1023)] * 3))
    bits_of = (0x3FF00000, 0xFFC00, 0x3FF)
    yield "32-bits-10.bmp", (pictures.bmp_of(32, ten.tobytes(), compression=3, masks=bits_of), shown)


def _moving() -> Iterator[tuple[str, Made]]:
    small = np.zeros((64, 96, 4))
    frame = pictures.decoded(pictures.encoded(pictures.scene(48, 32).quantize(64), "GIF")).convert("RGB")
    small[8:40, 16:64] = rgba(np.asarray(frame).astype(float))
    yield "small-frame.gif", (pictures.gif_with_small_frame(), small)
    still = bytearray(pictures.encoded(_SCENE.quantize(64), "GIF"))
    shown = rgba(pictures.pixels(bytes(still)).astype(float))
    for name, screen in (("no-canvas", (0, 0)), ("small-canvas", (50, 40))):
        still[6:10] = struct.pack("<HH", *screen)
        yield f"{name}.gif", (bytes(still), shown)
    yield "icon.ico", (pictures.encoded(pictures.see_through(64, 64), "ICO", sizes=[(16, 16), (64, 64)]), None)
    lit = pictures.see_through(32, 32)
    yield (
        "icon-twice.ico",
        (pictures.icon([(4, lit.convert("L").quantize(4)), (32, lit)]), np.asarray(lit).astype(float)),
    )
    for kind in ("PNG", "GIF", "WEBP", "AVIF"):
        yield f"animated.{kind}", (pictures.animated(kind), None)


def _high_efficiency() -> Iterator[tuple[str, Made]]:
    plain = pictures.heic(_SCENE)
    narrow = pictures.encoded(pictures.scene(mode="L"), "AVIF", quality=98, range="limited")
    yield "grey-narrow.avif", (narrow, rgba(_GREY))
    lit = pictures.encoded(pictures.see_through(), "AVIF", quality=98, subsampling="4:4:4", alpha_premultiplied=True)
    yield "alpha-lit.avif", (lit, np.asarray(pictures.see_through()).astype(float))
    avif = pictures.encoded(_SCENE, "AVIF", quality=98, subsampling="4:4:4")
    yield "plain.heic", (plain, None)
    for orientation, turns in ((3, 2), (6, 3), (8, 1)):  # said twice, as phones do: by the container and in EXIF
        turned = pictures.heic(_SCENE, exif=pictures.exif(orientation))
        yield f"turned-{orientation}.heic", (turned, rgba(np.rot90(_RGB, turns)))
    wide = pillow_heif.from_bytes("RGB;16", (96, 64), (_RGB * 257).astype("<u2").tobytes())
    out = io.BytesIO()
    wide.save(out, quality=100, chroma=444)
    yield "10-bits.heic", (out.getvalue(), rgba(_RGB))
    deep = _vips((_RGB * 257).astype(np.uint16), "rgb16")
    for bits in (10, 12):
        saved = deep.heifsave_buffer(compression="av1", bitdepth=bits, Q=98, subsample_mode="off")
        yield f"{bits}-bits.avif", (bytes(saved), rgba(_RGB))
    by_p3 = rgba(pictures.as_srgb(_SCENE, pictures.colour_profile("p3", profiles.srgb_curve)).astype(float))
    for name, data in (("heic", plain), ("avif", avif)):
        yield f"codes-p3.{name}", (with_codes(data, 12, 13), by_p3)
        for transfer in (16, 18):
            yield f"codes-{transfer}.{name}", (with_codes(data, 9, transfer), _of_hdr(transfer))
    yield "codes-in-the-stream.avif", (codes_in_the_stream(avif, 12, 13), by_p3)


def with_codes(data: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF or HEIC whose box names other colours (codes of ITU-T H.273)."""
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def codes_in_the_stream(data: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF that names its colours in the AV1 sequence header alone."""
    data = data.replace(b"colrnclx", b"freenclx")
    at = data.index(b"mdat") + 4
    stream = f"{int.from_bytes(data[at : at + 32]):0256b}"
    before, after = (f"{int.from_bytes(bytes(codes)):024b}" for codes in ((1, 13, 6), (primaries, transfer, 6)))
    assert stream.count(before) == 1
    return data[:at] + int(stream.replace(before, after), 2).to_bytes(32) + data[at + 32 :]
