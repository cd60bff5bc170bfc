"""Sort arguments into pictures and parameters, name result files, and copy results to them."""

import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bot.cli.console import CommandError, disk_errors
from core.domain.media_types import MIME, SUFFIXES, SavedAs, suffix_for
from core.domain.parameters.values import LINK
from core.domain.untrusted_text import clean_line
from core.storage.files.private_folder import give_usual_rights

_PICTURES = frozenset([".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"])
_RESULT_NAME = re.compile(r"\.\d+(\.\d+)?x$")
_SAVED_AS: dict[str, SavedAs] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
_MAX_PIPED_BYTES = 1_000_000_000
"""An endless pipe must not fill the disk; MAX_INPUT_BYTES is checked later."""

PIPE = Path("-")
"""Standard input, or standard output after `-o`."""

_RESULTS = ("image/png", "image/jpeg", "image/webp")


@dataclass(frozen=True, slots=True)
class Arguments:
    """The command's arguments: pictures (files or links) in order, and the other words as one text."""

    pictures: tuple[Path | str, ...]
    text: str


@contextmanager
def without_pipe(arguments: Sequence[str], out: Path | None) -> Iterator[list[str]]:
    """Replace `-` in the arguments by a file with the content of standard input. Raises CommandError."""
    if str(PIPE) not in arguments:
        yield list(arguments)
        return
    if out is None:
        raise CommandError("Say with -o where the result of an image from standard input goes.")
    if sys.stdin.isatty():
        raise CommandError("Nothing comes on standard input: cat photo.jpg | python -m bot upscale - -o large.png")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stdin")
        with path.open("wb") as file:
            while chunk := sys.stdin.buffer.read(1 << 20):
                file.write(chunk)
                if file.tell() > _MAX_PIPED_BYTES:
                    raise CommandError("Standard input does not end; pipe one image.")
        yield [str(path) if argument == str(PIPE) else argument for argument in arguments]


def read_arguments(arguments: Sequence[str]) -> Arguments:
    """Sort arguments into pictures and parameters. Raises CommandError for a missing file."""
    pictures: list[Path | str] = []
    words: list[str] = []
    for argument in arguments:
        path = Path(argument)
        if LINK.fullmatch(argument):
            pictures.append(argument)
        elif path.is_file():
            pictures.append(path)
        elif path.is_dir():
            pictures += _pictures_in(path)
        elif path.suffix.lower() in _PICTURES and "=" not in argument:
            raise CommandError(f"{argument} is not there.")
        else:
            words.append(argument)
    if not pictures:
        raise CommandError("Name at least one image: python -m bot upscale FILE [parameters]")
    return Arguments(tuple(pictures), " ".join(words))


def _pictures_in(folder: Path) -> list[Path]:
    """List a folder's pictures by name, without subfolders and results of earlier calls (`name.2x.png`)."""
    named = sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICTURES and path.is_file())
    found = [path for path in named if not _RESULT_NAME.search(path.stem)]
    if not found:
        raise CommandError(f"{folder} holds no images.")
    return found


def title(picture: Path | str) -> str:
    return clean_line(_name(picture))


def _name(picture: Path | str) -> str:
    """Return the file's name, or the last part of a link's path, cleaned so that it can be a file's name."""
    if isinstance(picture, Path):
        return picture.name
    return clean_line(Path(unquote(urlsplit(picture).path)).name) or "image"


def result_path(picture: Path | str, factor: float, mime: str, out: Path | None, *, many: bool) -> Path:
    """Return the result's path: next to the picture as `name.2x.png`, or as `-o` says (a file, or a folder).

    The result of a link goes into the current folder. With several pictures `-o` is always a folder.
    """
    name = Path(_name(picture))
    default = f"{name.stem}.{factor:g}x{suffix_for(mime)}"
    if out is None:
        return (picture.parent if isinstance(picture, Path) else Path()) / default
    return out / default if many or out.is_dir() else out


def wanted_format(out: Path | None, mime: str, *, many: bool) -> SavedAs | None:
    """Return the format to convert a result of type `mime` to for the file that `-o` names; None: no conversion."""
    wanted = None if out is None or many or out.is_dir() else _SAVED_AS.get(out.suffix.lower())
    return wanted if wanted is not None and MIME[wanted] != mime else None


def has_wrong_suffix(path: Path, mime: str) -> bool:
    kinds = {suffix: mime for mime, suffix in SUFFIXES.items()} | {".jpeg": "image/jpeg", ".tiff": "image/tiff"}
    return kinds.get(path.suffix.lower(), mime) != mime


def check_results_are_new(arguments: Arguments, factor: float | None, out: Path | None) -> None:
    """Raise CommandError, before anything is paid, if a result's file exists already or two have the same name.

    `factor` is None for a size instead of a factor: the names are not known then, and `free_path` keeps them apart.
    """
    many = len(arguments.pictures) > 1
    if out == PIPE or (factor is None and (out is None or many or out.is_dir())):
        return
    seen: set[Path] = set()
    for picture in arguments.pictures:
        candidates = {result_path(picture, factor or 0, mime, out, many=many) for mime in _RESULTS}
        taken = [path for path in candidates if path.exists()]
        if taken:
            raise CommandError(f"{taken[0]} exists already; say --force to overwrite it, or -o to write elsewhere.")
        if candidates & seen:
            raise CommandError(f"Two of the results would be called {min(candidates & seen)}; use -o for one of them.")
        seen |= candidates


def free_path(path: Path) -> Path:
    """Return `path`, or `path` with -1, -2 … before its suffix if it was created meanwhile."""
    tries = [path, *(path.with_stem(f"{path.stem}-{n}") for n in range(1, 1000))]
    return next(candidate for candidate in tries if not candidate.exists())


def copy_out(source: Path, dest: Path) -> None:
    """Copy a picture for a person: `dest` appears complete, and it and new folders get their usual permissions."""
    if dest == PIPE:
        with source.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    new_folders = [folder for folder in dest.parents if not folder.exists()]
    dest.parent.mkdir(parents=True, exist_ok=True)
    for folder in new_folders:
        give_usual_rights(folder)
    part = dest.with_name(f".{dest.name}.part")
    try:
        shutil.copyfile(source, part)
        give_usual_rights(part)
        part.replace(dest)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def digest_of(picture: Path) -> bytes:
    """Return the SHA-256 of a file. Raises CommandError."""
    with disk_errors(f"{picture} cannot be read"), picture.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
