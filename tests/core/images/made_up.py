"""The generated corpus: every supported format, with its expected RGBA."""

import base64
import io
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pillow_heif
import pyvips
from PIL import Image

from core.images.operations.colour_management import profiles
from tests.core.images import icc, pictures, xyb
from tests.core.images.made_up_tiffs import GREY, RGB, SCENE, UNIT, Made, Pixels, odd_tiffs, packed, plain_tiffs, rgba

_BT2020_TO_SRGB = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))

_ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYVpQ"
    "YEpRUk//yQALCAAQABABAREA/8wABgAQEAX/2gAIAQEAAD8A/wB4cUbln/uJJIZ26eq4W4lV1d8VBom3zNz/2Q=="
)
"""A grey ramp of 16 by 16, by libjpeg-turbo's cjpeg -arithmetic: no other library here writes such files."""

LINEAR = pictures.colour_profile("p3", lambda value: value)
PROFILES = ("p3", "adobe", "prophoto", "monitor", "bt2020")


@cache
def made_up() -> dict[str, Made]:
    """By file name."""
    found: dict[str, Made] = {}
    for make in (_colours, _jpegs, _pngs, plain_tiffs, odd_tiffs, _bmps, _moving, _high_efficiency):
        found |= dict(make())
    return found


def _colours() -> Iterator[tuple[str, Made]]:
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"):
        yield f"plain.{kind}", (pictures.encoded(SCENE, kind), None)
    for profile in PROFILES:
        by = pictures.colour_profile(profile)
        for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
            options = {"lossless": True} if kind == "WEBP" else {}
            yield f"{profile}.{kind}", (pictures.encoded(SCENE, kind, icc_profile=by, **options), None)
        yield f"{profile}.heic", (pictures.heic(SCENE, icc_profile=by), None)
        clear = pictures.encoded(pictures.see_through(), "PNG", icc_profile=by)
        yield f"transparent-{profile}.png", (clear, None)
    for kind in ("PNG", "TIFF", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        yield f"transparent.{kind}", (pictures.encoded(pictures.see_through(), kind, **options), None)
    lossless = pictures.encoded(pictures.see_through(), "WEBP", lossless=True, exif=pictures.exif())
    untold = lossless[:20] + bytes([lossless[20] & ~0x10]) + lossless[21:]
    yield "transparent-untold.webp", (untold, np.asarray(pictures.see_through()).astype(float))
    inks = np.zeros((64, 96, 4), np.uint8)
    inks[:, :32], inks[:, 32:64], inks[:, 64:, 0] = (0, 0, 0, 255), (200, 180, 180, 255), 120
    for kind in ("JPEG", "TIFF"):
        yield f"ink.{kind}", (pictures.encoded(Image.fromarray(inks, "CMYK"), kind), None)
    printed = _vips(np.asarray(SCENE), "srgb").icc_transform("cmyk", input_profile="srgb")
    for ending, save in (("jpg", printed.jpegsave_buffer), ("tif", printed.tiffsave_buffer)):
        yield f"printed.{ending}", (bytes(save(keep="icc")), None)


def _vips(samples: Pixels, space: str) -> Any:
    return pyvips.Image.new_from_array(samples).copy(interpretation=space)


def _jpegs() -> Iterator[tuple[str, Made]]:
    for orientation in range(2, 9):
        yield f"turned-{orientation}.jpg", (pictures.encoded(SCENE, "JPEG", exif=pictures.exif(orientation)), None)
    data = pictures.encoded(SCENE, "JPEG", quality=95)
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
    yield "xyb.jpg", (xyb.jpeg(SCENE), rgba(RGB))
    grey = pictures.encoded(pictures.scene(mode="L"), "JPEG", icc_profile=pictures.colour_profile("p3"))
    yield "grey-by-rgb-profile.jpg", (grey, None)
    lit = pictures.encoded(pictures.scene(mode="L"), "JPEG", icc_profile=LINEAR, quality=100)
    yield "grey-by-linear-rgb-profile.jpg", (lit, rgba(_of_light(GREY / 255)))


def _pngs() -> Iterator[tuple[str, Made]]:
    for mode in ("L", "1", "P", "LA"):
        yield f"mode-{mode}.png", (pictures.encoded(SCENE.convert(mode), "PNG"), None)
    plain = pictures.encoded(SCENE, "PNG")
    deep = bytes(_vips((RGB * 257).astype(np.uint16), "rgb16").pngsave_buffer(bitdepth=16))
    yield "deep.png", (deep, rgba(RGB))
    yield "interlaced.png", (bytes(_vips(RGB.astype(np.uint8), "srgb").pngsave_buffer(interlace=True)), None)
    for kind in (b"tEXt", b"zTXt", b"iTXt"):
        yield f"latin-1-{kind.decode()}.png", (pictures.png_with(plain, pictures.latin_1_text(kind)), None)
    for transfer in (16, 18):
        chunk = pictures.png_chunk(b"cICP", bytes((9, transfer, 0, 1)))
        yield f"codes-{transfer}.png", (pictures.png_with(plain, chunk), _of_hdr(transfer))
        display = chunk + pictures.png_chunk(b"mDCV", bytes(16) + struct.pack(">II", 4_000 * 10_000, 50))
        yield f"display-{transfer}.png", (pictures.png_with(plain, display), _of_hdr(transfer, 4_000))
        content = display + pictures.png_chunk(b"cLLI", struct.pack(">II", 400 * 10_000, 100 * 10_000))
        yield f"content-{transfer}.png", (pictures.png_with(plain, content), _of_hdr(transfer, 400, white=0.7873))
    for mode, made in (("L", pictures.scene(mode="L")), ("LA", pictures.see_through().convert("LA"))):
        lit = np.dstack(
            [_of_light(np.asarray(made.convert("L")) / 255.0)] * 3 + [np.asarray(made.convert("RGBA"))[:, :, 3]]
        )
        yield f"linear-{mode}.png", (pictures.encoded(made, "PNG", icc_profile=LINEAR), lit)
    for code in (4, 8, 10, 11):
        by = pictures.colour_profile(f"codes-{code}", profiles.srgb_curve)
        chunk = pictures.png_chunk(b"cICP", bytes((code, 13, 0, 1)))
        shown = rgba(pictures.as_srgb(SCENE, by).astype(float))
        yield f"codes-primaries-{code}.png", (pictures.png_with(plain, chunk), shown)
    by_p3 = pictures.as_srgb(SCENE, pictures.colour_profile("p3", profiles.srgb_curve)).astype(float)
    for name, data in (("", plain), ("-deep", deep)):
        chunk = pictures.png_chunk(b"cICP", bytes((12, 13, 0, 1)))
        yield f"codes-p3{name}.png", (pictures.png_with(data, chunk), rgba(by_p3))
        for gamma in (100_000, 55_556, 35_000):
            chunk = pictures.png_chunk(b"gAMA", gamma.to_bytes(4, "big"))
            shown = rgba(_of_light(UNIT ** (100_000 / gamma)))
            yield f"gamma-{gamma}{name}.png", (pictures.png_with(data, chunk), shown)
    for code, light in ((11, UNIT**2.4), (17, UNIT**2.6 * 52.37 / 48)):
        chunk = pictures.png_chunk(b"cICP", bytes((1, code, 0, 1)))
        yield f"codes-transfer-{code}.png", (pictures.png_with(plain, chunk), rgba(_of_light(light.clip(0, 1))))
    video = rgba(pictures.as_srgb(SCENE, pictures.colour_profile("bt2020")).astype(float))
    yield "codes-video.png", (pictures.png_with(plain, pictures.png_chunk(b"cICP", b"\x09\1\0\1")), video)
    for name, codes in (("unknown", b"\x0c\2\0\1"), ("narrow", b"\x09\x10\0\0")):
        yield f"codes-{name}.png", (pictures.png_with(plain, pictures.png_chunk(b"cICP", codes)), rgba(RGB))
    gammas = [pictures.png_chunk(b"gAMA", gamma.to_bytes(4, "big")) for gamma in (100_000, 45_455)]
    broken = pictures.png_chunk(b"iCCP", b"x\0\0broken")
    for name, chunks in (("twice", gammas), ("and-broken-profile", [gammas[0], broken])):
        yield f"gamma-{name}.png", (pictures.png_with(plain, *chunks), rgba(_of_light(UNIT)))
    few = SCENE.quantize(64)
    late = pictures.encoded(few, "PNG", icc_profile=LINEAR)
    parts = pictures.png_chunks(late)
    profile, palette = (pictures.png_chunk(kind, parts[kind]) for kind in (b"iCCP", b"PLTE"))
    late = late.replace(profile, b"").replace(palette, palette + profile)
    yield "profile-after-palette.png", (late, rgba(pictures.as_srgb(few.convert("RGB"), LINEAR).astype(float)))
    for name, body in (("no-name", b"\0\0"), ("wrong-length", b"x\0\0")):
        length = len(LINEAR) + (name == "wrong-length")
        chunk = pictures.png_chunk(b"iCCP", body + zlib.compress(length.to_bytes(4, "big") + LINEAR[4:]))
        yield f"profile-of-{name}.png", (pictures.png_with(plain, chunk), rgba(RGB))
    yield "no-end.png", (plain[:-12], rgba(RGB))
    hidden = pictures.encoded(SCENE.rotate(180), "PNG", save_all=True, default_image=True, append_images=[SCENE] * 2)
    yield "hidden-first.png", (hidden, rgba(RGB))
    part = pictures.png_chunk(b"fcTL", struct.pack(">5I", 0, 40, 30, 10, 5) + bytes(6))
    part += pictures.png_chunk(
        b"fdAT", bytes(4) + pictures.png_chunks(pictures.encoded(SCENE.crop((0, 0, 40, 30)), "PNG"))[b"IDAT"]
    )
    offset = pictures.png_with(plain[:-12], pictures.png_chunk(b"acTL", bytes((0, 0, 0, 1, 0, 0, 0, 0)))) + part
    yield "hidden-first-offset.png", (offset + plain[-12:], np.pad(rgba(RGB)[:30, :40], ((5, 29), (10, 46), (0, 0))))
    yield "wrong-sum.png", (plain[:-16] + b"abcd" + plain[-12:], rgba(RGB))
    yield "wrong-sum-of-profile.png", (_with_spoilt_profile(plain), rgba(RGB))


def _of_hdr(transfer: int, peak_nits: float = 1_000, white: float = 0.5) -> Pixels:
    """As Chromium 156 shows it: SMPTE ST 2094-50, by numpy."""
    if transfer == 16:
        power = UNIT ** (1 / 78.84375)
        nits = 10_000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
    else:
        scene = np.where(UNIT <= 0.5, UNIT**2 / 3, (np.exp((UNIT - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        nits = 1_000 * scene * (scene @ (0.2627, 0.6780, 0.0593))[:, :, None] ** 0.2
    light = nits / 203
    most = light.max(axis=2, keepdims=True)
    t = np.linspace(0, 1, 4096)
    bezier = (1.0, 0.35 + 0.65 / white, peak_nits / 203), (white, 0.35 * white + 0.65, 1.0)
    x, y = ((1 - t) ** 2 * first + 2 * t * (1 - t) * middle + t**2 * last for first, middle, last in bezier)
    mapped = np.where(most < 1, most * white, np.interp(most, x, y))
    return rgba(_of_light((light * mapped / np.maximum(most, 1e-9)) @ np.array(_BT2020_TO_SRGB).T).clip(0, 255))


def _with_spoilt_profile(plain: bytes) -> bytes:
    """A chunk that every decoder ignores because of its CRC."""
    with_profile = pictures.encoded(SCENE, "PNG", icc_profile=pictures.colour_profile("p3"))
    body = pictures.png_chunks(with_profile)[b"iCCP"]
    return pictures.png_with(plain, pictures.png_chunk(b"iCCP", body)[:-4] + b"abcd")


def _of_light(light: Pixels) -> Pixels:
    shown = np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    return np.asarray(shown * 255)


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
        bits_in = packed(numbers[::-1].astype(int), bits)
        rows = b"".join(
            bits_in[i : i + 2 * bits].ljust((2 * bits + 3) // 4 * 4, b"\0") for i in range(0, 32 * bits, 2 * bits)
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
    still = bytearray(pictures.encoded(SCENE.quantize(64), "GIF"))
    shown = rgba(pictures.pixels(bytes(still)).astype(float))
    for name, screen in (("no-canvas", (0, 0)), ("small-canvas", (50, 40))):
        still[6:10] = struct.pack("<HH", *screen)
        yield f"{name}.gif", (bytes(still), shown)
    yield "icon.ico", (pictures.encoded(pictures.see_through(64, 64), "ICO", sizes=[(16, 16), (64, 64)]), None)
    lit = pictures.see_through(32, 32)
    bitmap = pictures.encoded(lit, "ICO", sizes=[(32, 32)], bitmap_format="bmp")
    yield "icon-of-no-bits.ico", (bitmap[:12] + bytes(2) + bitmap[14:], np.asarray(lit).astype(float))
    masked = np.array(lit)
    masked[:, :, 3] = np.where(np.arange(32) < 20, 0, 255)
    rows, mask = masked[::-1, :, 2::-1].tobytes(), np.packbits(masked[::-1, :, 3] == 0, axis=1).tobytes()
    head = struct.pack("<IiiHH24x", 40, 32, 64, 1, 24)
    entry = struct.pack("<HHHBBBBHHII", 0, 2, 1, 32, 32, 0, 0, 7, 9, len(head + rows + mask), 22)
    yield "cursor.cur", (entry + head + rows + mask, masked.astype(float))
    forgotten = np.dstack([masked[:, :, :3], np.zeros((32, 32), np.uint8)])[::-1, :, [2, 1, 0, 3]].tobytes()
    head = struct.pack("<IiiHH24x", 40, 32, 64, 1, 32)
    entry = struct.pack("<HHHBBBBHHII", 0, 1, 1, 32, 32, 0, 0, 1, 32, len(head + forgotten + mask), 22)
    yield "icon-of-empty-alpha.ico", (entry + head + forgotten + mask, masked.astype(float))
    yield (
        "icon-twice.ico",
        (pictures.icon([(4, lit.convert("L").quantize(4)), (32, lit)]), np.asarray(lit).astype(float)),
    )
    for kind in ("PNG", "GIF", "WEBP", "AVIF"):
        yield f"animated.{kind}", (pictures.animated(kind), None)


def _high_efficiency() -> Iterator[tuple[str, Made]]:
    plain = pictures.heic(SCENE)
    narrow = pictures.encoded(pictures.scene(mode="L"), "AVIF", quality=98, range="limited")
    yield "grey-narrow.avif", (narrow, rgba(GREY))
    grey = pictures.scene(mode="L")
    linear = pictures.encoded(grey, "AVIF", quality=98, subsampling="4:0:0", icc_profile=icc.linear_grey())
    yield "grey-by-profile.avif", (linear, rgba(_of_light(GREY / 255)))
    lit = pictures.encoded(pictures.see_through(), "AVIF", quality=98, subsampling="4:4:4", alpha_premultiplied=True)
    yield "alpha-lit.avif", (lit, np.asarray(pictures.see_through()).astype(float))
    avif = pictures.encoded(SCENE, "AVIF", quality=98, subsampling="4:4:4")
    yield "plain.heic", (plain, None)
    for orientation, turns in ((3, 2), (6, 3), (8, 1)):  # said twice, as phones do: by the container and in EXIF
        turned = pictures.heic(SCENE, exif=pictures.exif(orientation))
        yield f"turned-{orientation}.heic", (turned, rgba(np.rot90(RGB, turns)))
    wide = pillow_heif.from_bytes("RGB;16", (96, 64), (RGB * 257).astype("<u2").tobytes())
    out = io.BytesIO()
    wide.save(out, quality=100, chroma=444)
    yield "10-bits.heic", (out.getvalue(), rgba(RGB))
    deep = _vips((RGB * 257).astype(np.uint16), "rgb16")
    for bits in (10, 12):
        saved = deep.heifsave_buffer(compression="av1", bitdepth=bits, Q=98, subsample_mode="off")
        yield f"{bits}-bits.avif", (bytes(saved), rgba(RGB))
    by_p3 = rgba(pictures.as_srgb(SCENE, pictures.colour_profile("p3", profiles.srgb_curve)).astype(float))
    for name, data in (("heic", plain), ("avif", avif)):
        yield f"codes-p3.{name}", (pictures.with_codes(data, 12, 13), by_p3)
        for transfer in (16, 18):
            yield f"codes-{transfer}.{name}", (pictures.with_codes(data, 9, transfer), _of_hdr(transfer))
        bright = pictures.with_codes(data, 9, 16).replace(
            b"pixi" + bytes((0, 0, 0, 0, 3, 8)), b"clli" + struct.pack(">HI", 4_000, 0)
        )
        yield f"content-16.{name}", (bright, _of_hdr(16, 4_000))
    yield "codes-in-the-stream.avif", (pictures.codes_in_the_stream(avif, 12, 13), by_p3)
