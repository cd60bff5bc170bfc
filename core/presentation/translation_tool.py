"""Finds the sentences in the source and keeps the catalogues in step: `make messages`.

A developer's tool; the bot never runs it. It adds sentences that a catalogue lacks (empty, to be translated), drops
those no longer used, and lists what is left to do. It translates nothing.
"""

from __future__ import annotations

import ast
import io
import string
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po

from core.presentation.translations import LANGUAGES

ROOT = Path(__file__).resolve().parents[2]
LOCALE_DIR = Path(__file__).parent / "locale"
SOURCES = ("core", "adapters", "bot")
TRANSLATED = tuple(language for language in LANGUAGES if language != "en")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One message id, its plural where it has one, and where it stands (`file:line`)."""

    one: str
    many: str | None
    where: str

    @property
    def places(self) -> frozenset[str]:
        """The names in braces, of both forms together."""
        return placeholders(self.one) | placeholders(self.many or "")


@dataclass
class Found:
    """All sentences by message id, and the calls that no tool can read (their first argument is no literal)."""

    sentences: dict[str, Sentence] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


def placeholders(text: str) -> frozenset[str]:
    """The `{names}` in a sentence."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(text) if name)


def scan(root: Path = ROOT, folders: Iterable[str] = SOURCES) -> Found:
    """Every `tr(…)` and `trn(…)` under these folders."""
    found = Found()
    for path in sorted(path for folder in folders for path in (root / folder).rglob("*.py")):
        if path.name not in ("catalog.py", "catalog_tool.py"):
            _scan_file(path, path.relative_to(root).as_posix(), found)
    return found


def _scan_file(path: Path, name: str, found: Found) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        called = node.func if isinstance(node, ast.Call) else None
        function = called.id if isinstance(called, ast.Name) else getattr(called, "attr", None)
        if not isinstance(node, ast.Call) or function not in ("tr", "trn"):
            continue
        where = f"{name}:{node.lineno}"
        texts = [_literal(argument) for argument in node.args[: 2 if function == "trn" else 1]]
        if not texts or None in texts or (function == "trn" and len(texts) < 2):
            found.unreadable.append(where)
            continue
        one, many = str(texts[0]), str(texts[1]) if function == "trn" else None
        found.sentences.setdefault(one, Sentence(one, many, where))


def _literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value else None


def read(language: str, folder: Path = LOCALE_DIR) -> Catalog:
    """The catalogue of a language; an empty one where there is none yet."""
    path = folder / f"{language}.po"
    if not path.exists():
        return Catalog(locale=language, project="upscale-bot", charset="utf-8", fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def faults(catalog: Catalog, sentences: Mapping[str, Sentence]) -> list[str]:
    """What a catalogue lacks or gets wrong, one line each; empty when complete."""
    lines = []
    for sentence in sentences.values():
        message = catalog.get(sentence.one)
        problem = "not translated" if message is None else _fault(message, sentence, catalog.num_plurals)
        if problem:
            lines.append(f"{sentence.where}: {problem}: {sentence.one!r}")
    return lines


def _fault(message: Message, sentence: Sentence, n_forms: int) -> str:
    text = message.string or ""
    forms = [text] if isinstance(text, str) else list(text)
    plural = not isinstance(text, str)
    if plural != (sentence.many is not None):
        return "plural in one of source and catalogue only"
    if not all(forms) or (plural and len(forms) != n_forms):
        return "not translated"
    if message.fuzzy:
        return "marked fuzzy"
    # A plural form may leave out {n} ("a picture"), nothing else.
    needed = sentence.places - {"n"} if plural else sentence.places
    good = all(needed <= placeholders(form) <= sentence.places for form in forms)
    return "" if good else f"must hold {', '.join(sorted(sentence.places)) or 'no names'} in braces"


def update(language: str, sentences: Mapping[str, Sentence], folder: Path = LOCALE_DIR) -> None:
    """Write the language's catalogue with exactly these sentences, keeping the translations it has."""
    old = read(language, folder)
    new = Catalog(locale=language, project="upscale-bot", charset="utf-8", fuzzy=False)
    for sentence in sorted(sentences.values(), key=lambda item: item.one):
        message = old.get(sentence.one)
        plural = sentence.many is not None
        kept = message.string if message is not None and isinstance(message.string, str) != plural else None
        empty: str | tuple[str, ...] = ("",) * new.num_plurals if plural else ""
        new.add((sentence.one, sentence.many) if sentence.many is not None else sentence.one, kept or empty)
    new.creation_date = new.revision_date = old.creation_date
    buffer = io.BytesIO()
    write_po(buffer, new, width=110, omit_header=False, no_location=True)
    folder.mkdir(exist_ok=True)
    header, _, body = buffer.getvalue().partition(b"\n\n")
    (folder / f"{language}.po").write_bytes(_short_header(header, new) + b"\n\n" + body)


def _short_header(_: bytes, catalog: Catalog) -> bytes:
    """Only what readers of the file need: dates and names would change at every run."""
    lines = (
        'msgid ""',
        'msgstr ""',
        f'"Language: {catalog.locale_identifier}\\n"',
        f'"Plural-Forms: {catalog.plural_forms}\\n"',
        '"Content-Type: text/plain; charset=utf-8\\n"',
        '"Content-Transfer-Encoding: 8bit\\n"',
    )
    return "\n".join(lines).encode()


def main() -> int:
    """Update all catalogues; print what is left to translate. Returns 1 if anything is."""
    found = scan()
    for where in found.unreadable:
        print(f"{where}: the sentence must be a literal string")
    left = len(found.unreadable)
    for language in TRANSLATED:
        update(language, found.sentences)
        lines = faults(read(language), found.sentences)
        print(f"{language}: {len(found.sentences) - len(lines)} of {len(found.sentences)} sentences")
        print("\n".join(f"  {line}" for line in lines))
        left += len(lines)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
