"""Which arguments are pictures and which are parameters, and what a result's file is called. Copies results out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bot.cli.console import CommandError
from core.domain.media_types import suffix_for
from core.domain.parameters.values import LINK
from core.storage.private_folder import give_usual_rights

_PICTURES = frozenset([".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"])
_RESULTS = ("image/png", "image/jpeg", "image/webp")


@dataclass(frozen=True, slots=True)
class Order:
    """What was typed: pictures (files or links) in order, and the parameters among them as one text."""

    pictures: tuple[Path | str, ...]
    text: str


def read_arguments(arguments: Sequence[str]) -> Order:
    """Sort arguments into pictures and parameters. Raises CommandError for a file that is not there."""
    pictures: list[Path | str] = []
    words: list[str] = []
    for argument in arguments:
        path = Path(argument)
        if LINK.fullmatch(argument):
            pictures.append(argument)
        elif path.is_file():
            pictures.append(path)
        elif path.is_dir() or (path.suffix.lower() in _PICTURES and "=" not in argument):
            what = "is a folder, not a picture" if path.is_dir() else "is not there"
            raise CommandError(f"{argument} {what}.")
        else:
            words.append(argument)
    if not pictures:
        raise CommandError("Name at least one picture: python -m bot upscale FILE [parameters]")
    return Order(tuple(pictures), " ".join(words))


def title(picture: Path | str) -> str:
    """A short name to show."""
    return picture.name if isinstance(picture, Path) else (Path(urlsplit(picture).path).name or "picture")


def result_path(picture: Path | str, factor: float, mime: str, out: Path | None, *, many: bool) -> Path:
    """Where the result goes: next to the picture as `name.2x.png`, or where `-o` says (a file, or a folder).

    A result of a link goes into the current folder. With several pictures `-o` is always a folder.
    """
    name = Path(unquote(title(picture)))
    default = f"{name.stem}.{factor:g}x{suffix_for(mime)}"
    if out is None:
        return (picture.parent if isinstance(picture, Path) else Path()) / default
    return out / default if many or out.is_dir() else out


def refuse_taken(order: Order, factor: float, out: Path | None) -> None:
    """Raise CommandError, before anything is paid, where a result's file exists already or two would be one."""
    seen: set[Path] = set()
    many = len(order.pictures) > 1
    for picture in order.pictures:
        candidates = {result_path(picture, factor, mime, out, many=many) for mime in _RESULTS}
        taken = [path for path in candidates if path.exists()]
        if taken:
            raise CommandError(f"{taken[0]} exists already; say --force to overwrite it, or -o to write elsewhere.")
        if candidates & seen:
            raise CommandError(f"Two of the results would be called {min(candidates & seen)}; use -o for one of them.")
        seen |= candidates


def free_path(path: Path) -> Path:
    """`path`, or `path` with -1, -2 … before its ending where that appeared meanwhile: a paid result is never lost."""
    tries = [path, *(path.with_stem(f"{path.stem}-{n}") for n in range(1, 1000))]
    return next(candidate for candidate in tries if not candidate.exists())


def hand_out(source: Path, dest: Path) -> None:
    """Copy a picture to where a person wants it; `dest` is whole or absent, and not more private than their files."""
    dest.parent.mkdir(parents=True, exist_ok=True)
    part = dest.with_name(f".{dest.name}.part")
    shutil.copyfile(source, part)
    give_usual_rights(part)
    part.replace(dest)
