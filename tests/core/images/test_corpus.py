"""The project's own corpus, made by code: every kind is accepted, none is called damaged, all keep their colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.core.images import pictures
from tests.tools import corpus

PROFILES = ("p3", "adobe", "prophoto", "monitor", "bt2020")


def made_up() -> dict[str, bytes]:
    """Name to bytes."""
    scene, see_through = pictures.scene(), pictures.see_through()
    found: dict[str, bytes] = {}
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"):
        found[f"plain.{kind}"] = pictures.encoded(scene, kind)
    for profile in PROFILES:
        icc = pictures.colour_profile(profile)
        for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
            options = {"lossless": True} if kind == "WEBP" else {}
            found[f"{profile}.{kind}"] = pictures.encoded(scene, kind, icc_profile=icc, **options)
        found[f"{profile}.heic"] = pictures.heic(scene, icc_profile=icc)
    for kind in ("PNG", "TIFF"):
        found[f"transparent.{kind}"] = pictures.encoded(see_through, kind)
    found["transparent-p3.png"] = pictures.encoded(see_through, "PNG", icc_profile=pictures.colour_profile("p3"))
    for orientation in range(2, 9):
        found[f"turned-{orientation}.jpg"] = pictures.encoded(scene, "JPEG", exif=pictures.exif(orientation))
    for mode in ("L", "1", "P"):
        found[f"mode-{mode}.png"] = pictures.encoded(pictures.scene(mode=mode), "PNG")
        found[f"mode-{mode}.tif"] = pictures.encoded(pictures.scene(mode=mode), "TIFF")
    inks = np.zeros((64, 96, 4), np.uint8)
    inks[:, :32], inks[:, 32:64], inks[:, 64:, 0] = (0, 0, 0, 255), (200, 180, 180, 255), 120
    for kind in ("JPEG", "TIFF"):
        found[f"ink.{kind}"] = pictures.encoded(Image.fromarray(inks, "CMYK"), kind)
    for compression in ("packbits", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "zstd", "lzma", "lerc"):
        found[f"{compression}.tif"] = pictures.encoded(scene, "TIFF", compression=compression)
    ramp = np.tile(np.linspace(0, 1, 96), (64, 1))
    for sample in ("<f2", "<f4"):
        found[f"{sample[1:]}.tif"] = pictures.tiff_of(ramp.astype(sample))
    for sample in ("<u2", "<u4", "<i2", "i1"):
        top = np.iinfo(np.dtype(sample))
        found[f"{sample}.tif".lstrip("<")] = pictures.tiff_of(
            (ramp * (int(top.max) - 200 * (top.bits > 8))).astype(sample)
        )
    plain = pictures.encoded(scene, "PNG")
    for kind in (b"tEXt", b"zTXt", b"iTXt"):
        found[f"latin-1-{kind.decode()}.png"] = pictures.png_with(plain, pictures.latin_1_text(kind))
    for codes in ((12, 13), (9, 16), (9, 18)):
        chunk = pictures.png_chunk(b"cICP", bytes((*codes, 0, 1)))
        found[f"codes-{codes[0]}-{codes[1]}.png"] = pictures.png_with(plain, chunk)
    found["gamma.png"] = pictures.png_with(plain, pictures.png_chunk(b"gAMA", (100_000).to_bytes(4, "big")))
    jpeg = pictures.encoded(scene, "JPEG")
    at = jpeg.index(b"\xff\xdb")
    found["stray.jpg"] = jpeg[:at] + b"ab" + jpeg[at:]
    found["small-frame.gif"] = pictures.gif_with_small_frame()
    for kind in ("PNG", "GIF", "WEBP", "AVIF"):
        found[f"animated.{kind}"] = pictures.animated(kind)
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    row = np.array([0xFFC80000] * 8 + [0x8000C800] * 8, "<u4").tobytes()
    found["alpha.bmp"] = pictures.bmp_of(32, row * 16, compression=3, masks=masks)
    return found


async def test_every_kind_of_the_made_up_corpus_keeps_its_colours(tmp_path: Path) -> None:
    files = made_up()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    report = await corpus.run(tmp_path)
    assert (report.crashed, report.hung, report.damaged, dict(report.refused)) == ([], [], [], {})
    assert report.accepted == len(files)
    assert {name: report.off[name] for name in report.wrong} == {}
    assert len(report.off) >= 60
    assert report.peak_bytes > 0


async def test_the_table_names_what_was_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "b.png").write_bytes(pictures.encoded(pictures.scene(), "PNG")[:500])
    (tmp_path / "c.png").write_bytes(pictures.encoded(pictures.scene(), "PNG"))
    report = await corpus.run(tmp_path)
    text = "\n".join(report.lines())
    assert report.damaged == ["b.png"]
    for words in ("accepted                          1", "refused: not_an_image pdf", "refused: damaged_image", "MB"):
        assert words in text
