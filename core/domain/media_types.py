"""Image formats: their media types, file name endings and magic numbers."""

from typing import Final, Literal, get_args

Format = Literal["png", "jpeg", "webp", "gif", "bmp", "tiff", "avif", "heic", "ico"]
MIME: Final[dict[Format, str]] = {name: f"image/{name}" for name in get_args(Format)}
SUFFIXES: Final[dict[str, str]] = {
    mime: {"jpeg": ".jpg", "tiff": ".tif"}.get(name, f".{name}") for name, mime in MIME.items()
}

_MAGIC: Final[tuple[tuple[bytes, Format], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"\x00\x00\x01\x00", "ico"),
    (b"\x00\x00\x02\x00", "ico"),
)
_HEIC_BRANDS: Final = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_BMP_HEADERS: Final = {12, 16, 40, 52, 56, 64, 108, 124}


WEBP_MAX_SIDE_PX: Final = 16_383
"""WebP's own limit (container specification)."""
WEBP_MAX_PIXELS: Final = 50_000_000
"""WebP's encoders hold the whole image: above this, encoding takes a minute and over half a gigabyte."""

SavedAs = Literal["png", "jpeg", "webp"]


def webp_holds(width_px: int, height_px: int) -> bool:
    return max(width_px, height_px) <= WEBP_MAX_SIDE_PX and width_px * height_px <= WEBP_MAX_PIXELS


def saved_formats(width_px: int, height_px: int) -> tuple[SavedAs, ...]:
    return ("png", "jpeg", "webp") if webp_holds(width_px, height_px) else ("png", "jpeg")


def suffix_for(mime: str) -> str:
    return SUFFIXES.get(mime, ".bin")


def sniff(head: bytes) -> Format | None:
    """Return the image format of a file that begins with `head` (512 bytes are enough), or None."""
    for magic, picture in _MAGIC:
        if head.startswith(magic) and (picture != "ico" or any(head[4:6])):
            return picture
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and len(head) >= 18 and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "bmp"
    brands = brands_of(head)
    if brands & {b"avif", b"avis"}:
        return "avif"
    return "heic" if brands & _HEIC_BRANDS else None


def brands_of(head: bytes) -> set[bytes]:
    """Return the brands of an ISO media file (HEIC, AVIF, video); empty for any other file."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(len(head), max(16, int.from_bytes(head[:4], "big")))
    return {head[8:12]} | {head[at : at + 4] for at in range(16, end - 3, 4)}


def media_type_of(head: bytes) -> str:
    kind = sniff(head)
    return "application/octet-stream" if kind is None else MIME[kind]
