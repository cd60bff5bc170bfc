"""Generated images for tests: ordinary, unusual and hostile ones."""

import functools
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import tifffile
from PIL import Image, ImageCms

from core.images.operations.colour_management.tone_mapping import Curve
from tests.core.images import icc as icc_profiles

GPS = {1: "N", 2: (48.0, 51.0, 29.0), 3: "E", 4: (2.0, 17.0, 40.0)}
SECRET = b"taken at home"
_D65, _ILLUMINANT_C = (0.3127, 0.3290), (0.310, 0.316)
_P3 = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


def scene(width_px: int = 96, height_px: int = 64, mode: str = "RGB") -> Image.Image:
    """Gradients, an edge and some noise; all corners differ, so that a wrong rotation is detected."""
    y, x = np.mgrid[0:height_px, 0:width_px]
    noise = np.random.default_rng(7).integers(0, 24, (height_px, width_px))
    red = x * 200 // max(1, width_px - 1) + noise
    green = y * 200 // max(1, height_px - 1) + noise
    blue = np.where(x + y < (width_px + height_px) // 3, 220, 30)
    return Image.fromarray(np.dstack([red, green, blue]).clip(0, 255).astype(np.uint8)).convert(mode)


def see_through(width_px: int = 96, height_px: int = 64, *, opaque: bool = False) -> Image.Image:
    """RGBA; transparent on the left unless `opaque`."""
    picture = scene(width_px, height_px).convert("RGBA")
    alpha = np.full((height_px, width_px), 255, np.uint8)
    if not opaque:
        alpha[:, : width_px // 2] = 60
    picture.putalpha(Image.fromarray(alpha))
    return picture


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode the image in this format (Pillow's name)."""
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


@functools.cache
def icc() -> bytes:
    """A real profile without a time stamp."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(orientation: int = 1) -> bytes:
    """EXIF with a location, a text and an orientation."""
    data = Image.Exif()
    data[0x0112] = orientation
    data[0x010E] = SECRET.decode()
    data.get_ifd(0x8825).update(GPS)
    return data.tobytes()


def exif_of_300_dpi() -> bytes:
    """EXIF with a density only."""
    data = Image.Exif()
    data[0x011A], data[0x011B], data[0x0128] = 300.0, 300.0, 2
    return data.tobytes()


def decoded(data: bytes) -> Image.Image:
    """The first frame, in memory."""
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    """RGB samples of the first frame."""
    return np.asarray(decoded(data).convert("RGB")).astype(int)


def scene_in(folder: Path) -> Path:
    """A file with a scene."""
    (path := folder / "picture").write_bytes(encoded(scene(), "PNG"))
    return path


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_chunks(data: bytes) -> dict[bytes, bytes]:
    """Chunk bodies by kind, joined."""
    found: dict[bytes, bytes] = {}
    at = 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        found[kind] = found.get(kind, b"") + data[at + 8 : at + 8 + length]
        at += 12 + length
    return found


def png_with(data: bytes, *extra: bytes) -> bytes:
    """Insert chunks after the PNG's header."""
    return data[:33] + b"".join(extra) + data[33:]


def png_declaring(width_px: int, height_px: int, body: bytes = b"") -> bytes:
    """A header with any size and hardly any data."""
    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    idat = png_chunk(b"IDAT", body or zlib.compress(bytes(64)))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + idat + png_chunk(b"IEND", b"")


def jpeg_with_frame(marker: bytes, *, bits: int = 8, height_px: int = 64) -> bytes:
    """A JPEG with the frame header of a rare variant."""
    data = encoded(scene(), "JPEG")
    at = data.index(b"\xff\xc0")
    return data[:at] + marker + data[at + 2 : at + 4] + struct.pack(">BH", bits, height_px) + data[at + 7 :]


def apples_png() -> bytes:
    """A PNG of Xcode: a chunk before the header, and raw deflate data."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(bytes(64 * (1 + 4 * 64))) + packer.flush()
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 6, 0, 0, 0))
    chunks = png_chunk(b"CgBI", b"P\0 \2") + header + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def icon(frames: list[tuple[int, Image.Image]]) -> bytes:
    """An ICO of PNGs, each with the bits per pixel of its directory entry."""
    table, body = struct.pack("<HHH", 0, 1, len(frames)), b""
    for bits, picture in frames:
        data = encoded(picture, "PNG")
        at = 6 + 16 * len(frames) + len(body)
        table += struct.pack("<BBBBHHII", picture.width, picture.height, 0, 0, 1, bits, len(data), at)
        body += data
    return table + body


def deflate_bomb() -> bytes:
    """A small image whose data decompresses to 200 MB."""
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    return png_declaring(64, 64, body)


def animated(kind: str) -> bytes:
    """Three frames; the first is the scene."""
    frames = [scene(), scene().rotate(90).resize((96, 64)), scene().rotate(180)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)


def latin_1_text(kind: bytes) -> bytes:
    """A text chunk whose keyword is Latin-1, as the PNG standard prescribes."""
    body = {b"tEXt": b"\0" + SECRET, b"zTXt": b"\0\0" + zlib.compress(SECRET), b"iTXt": b"\0\0\0\0\0" + SECRET}[kind]
    return png_chunk(kind, "Künstler".encode("latin-1") + body)


def gif_of_nothing(width_px: int, height_px: int, *, palette: bool = True) -> bytes:
    """A frame of this size on a canvas of 96 by 64, or one without any palette."""
    data = bytearray(encoded(scene().quantize(64), "GIF"))
    colours = 3 << ((data[10] & 7) + 1)
    at = data.index(b"\x2c", 13 + colours)
    data[at + 5 : at + 9] = struct.pack("<HH", width_px, height_px)
    if not palette:
        data[10] &= 0x7F
        del data[13 : 13 + colours]
    return bytes(data)


def gif_with_small_frame() -> bytes:
    """A frame of 48 by 32 at (16, 8) on a canvas of 96 by 64, without a transparent colour."""
    data = bytearray(encoded(scene(48, 32).quantize(64), "GIF"))
    data[6:10] = struct.pack("<HH", 96, 64)
    at = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    while data[at] == 0x21:
        at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
    data[at + 1 : at + 5] = struct.pack("<HH", 16, 8)
    return bytes(data)


def colour_profile(name: str, curve: Curve | None = None) -> bytes:
    """A display profile: `p3`, `adobe`, `prophoto`, `monitor` (near sRGB, warmer) or `bt2020`."""
    primaries, gamma, white = {
        "p3": (_P3, 2.2, _D65),
        "adobe": ((0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 2.19921875, _D65),
        "prophoto": ((0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001), 1.8, (0.3457, 0.3585)),
        "monitor": ((0.645, 0.335, 0.31, 0.62, 0.15, 0.05), 2.35, _D65),
        "codes-4": ((0.67, 0.33, 0.21, 0.71, 0.14, 0.08), 1.0, _ILLUMINANT_C),
        "codes-8": ((0.681, 0.319, 0.243, 0.692, 0.145, 0.049), 1.0, _ILLUMINANT_C),
        "codes-10": ((1.0, 1e-7, 0.0, 1.0, 0.0, 1e-7), 1.0, (1 / 3, 1 / 3)),
        "codes-11": (_P3, 1.0, (0.314, 0.351)),
        "bt2020": ((0.708, 0.292, 0.17, 0.797, 0.131, 0.046), 2.4, _D65),
    }[name]
    return icc_profiles.display(primaries, white, curve or (lambda value: value**gamma))


def as_srgb(picture: Image.Image, profile: bytes) -> np.ndarray[Any, Any]:
    """Convert to sRGB by Pillow's colour management."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    shown = ImageCms.profileToProfile(
        picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB", renderingIntent=intent, flags=flags
    )
    assert shown is not None
    return np.asarray(shown).astype(int)


def tiff_of(samples: np.ndarray[Any, Any], **options: Any) -> bytes:
    """A TIFF of any sample type: grey or RGB, or as the options of tifffile say."""
    out = io.BytesIO()
    tifffile.imwrite(out, samples, **{"photometric": "minisblack" if samples.ndim == 2 else "rgb", **options})
    return out.getvalue()


def tiff_with(data: bytes, tag: int, value: int) -> bytes:
    """A TIFF with another number at one of its tags."""
    at = data.index(struct.pack("<HHI", tag, 3, 1)) + 8
    return data[:at] + struct.pack("<H", value) + data[at + 2 :]


def bmp_of(bits: int, rows: bytes, *, compression: int = 0, masks: tuple[int, ...] = (), colours: bytes = b"") -> bytes:
    """A BMP of 16 by 16 from its raw rows (bottom first); with four masks its header is version 5."""
    size = 124 if len(masks) == 4 else 40
    body = struct.pack("<IiiHHIIiiII", size, 16, 16, 1, bits, compression, len(rows), 2835, 2835, len(colours) // 4, 0)
    body += b"".join(struct.pack("<I", mask) for mask in masks)
    if size == 124:
        body = (body + b"BGRs").ljust(124, b"\0")
    offset = 14 + len(body) + len(colours)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + body + colours + rows


def heic(picture: Image.Image, **options: Any) -> bytes:
    """HEVC-coded HEIF, as from phones, nearly lossless."""
    out = io.BytesIO()
    pillow_heif.from_pillow(picture).save(out, quality=100, chroma=444, **options)
    return out.getvalue()


def with_codes(data: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF or HEIC whose colr box has other codes (ITU-T H.273)."""
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def codes_in_the_stream(data: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF that describes its colours in the AV1 sequence header only."""
    data = data.replace(b"colrnclx", b"freenclx")
    at = data.index(b"mdat") + 4
    stream = f"{int.from_bytes(data[at : at + 32]):0256b}"
    before, after = (f"{int.from_bytes(bytes(codes)):024b}" for codes in ((1, 13, 6), (primaries, transfer, 6)))
    assert stream.count(before) == 1
    return data[:at] + int(stream.replace(before, after), 2).to_bytes(32) + data[at + 32 :]
