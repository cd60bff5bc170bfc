"""Every sentence of the source is translated in every catalogue. `make messages` updates them."""

import ast
import re
import string
from pathlib import Path
from typing import TypeAlias

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from core.presentation import LANGUAGES

ROOT = Path(__file__).parents[3]
LOCALE = ROOT / "core" / "presentation" / "locale"
FOLDERS = ("core", "adapters", "bot")
TRANSLATED = [language for language in LANGUAGES if language != "en"]
KEYWORDS = {"tr": (1,), "translatable": (1,), "trn": (1, 2)}
Sentence: TypeAlias = str | tuple[str, ...]


def _source() -> set[Sentence]:
    found: set[Sentence] = set()
    for folder in FOLDERS:
        for _, _, sentence, _, _ in extract_from_dir(ROOT / folder, [("**.py", "python")], None, KEYWORDS):
            found.add(sentence)
    return found


def test_no_sentence_stands_inside_an_f_string() -> None:
    """Before Python 3.12, Babel does not find a sentence there, so it would stay untranslated unnoticed."""
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        for outer in ast.walk(ast.parse(path.read_text())):
            if isinstance(outer, ast.JoinedStr):
                calls = [node.func for node in ast.walk(outer) if isinstance(node, ast.Call)]
                hidden = [name.id for name in calls if isinstance(name, ast.Name) and name.id in KEYWORDS]
                assert not hidden, f"{path.name}:{outer.lineno}"


def _catalog(name: str, language: str | None = None) -> Catalog:
    with (LOCALE / name).open("rb") as file:
        return read_po(file, locale=language)


def _ids(catalog: Catalog) -> set[Sentence]:
    return {message.id if isinstance(message.id, str) else tuple(message.id) for message in catalog if message.id}


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def _fault(message: Message, forms: int) -> str:
    one, *more = [message.id] if isinstance(message.id, str) else message.id
    strings = [message.string] if isinstance(message.string, str) else list(message.string or ())
    if message.fuzzy or not all(strings) or len(strings) != (forms if more else 1):
        return f"not translated: {one}"
    names = _places(one).union(*map(_places, more))
    # A plural form may leave out {n} ("a picture"), nothing else.
    needed = names - {"n"} if more else names
    if not all(needed <= _places(text) <= names for text in strings):
        return f"other names in braces: {one}"
    return ""


def test_the_template_holds_exactly_the_sentences_of_the_source() -> None:
    assert _ids(_catalog("messages.pot")) ^ _source() == set(), "run `make messages`"


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_language_is_complete(language: str) -> None:
    catalog = _catalog(f"{language}.po", language)
    assert _ids(catalog) ^ _source() == set(), "run `make messages`"
    assert [fault for message in catalog if message.id and (fault := _fault(message, catalog.num_plurals))] == []


def _told(language: str) -> list[str]:
    strings = [message.string for message in _catalog(f"{language}.po", language) if message.id]
    return [text for one in strings for text in ([one] if isinstance(one, str) else one or ())]


def test_french_calls_everybody_vous_and_has_its_own_apostrophe_and_spaces() -> None:
    wrong = re.compile(r"\b(tu|toi|ton|ta|tes|choisis|essaie|ajoute|regarde)\b|\w'\w| [:;?!%»]|« ", re.IGNORECASE)
    assert [text for text in _told("fr") if wrong.search(text)] == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_translation_stands_twice_in_itself(language: str) -> None:
    """The union merge of two branches that changed the same translation can double it."""
    assert [text for text in _told(language) if len(text) > 60 and text.count(text[:30]) > 1] == []


def test_every_sentence_in_the_source_is_a_literal() -> None:
    """Babel silently ignores others."""
    unreadable = []
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if not isinstance(node, ast.Call) or name not in ("tr", "trn"):
                continue
            texts = node.args[: 2 if name == "trn" else 1]
            if not texts or not all(isinstance(text, ast.Constant) for text in texts):
                unreadable.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert unreadable == []


def test_slack_keeps_its_sentences_where_all_of_them_are() -> None:
    for path in (ROOT / "adapters" / "slack").rglob("*.py"):
        calls = [
            node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
        ]
        assert not [name.id for name in calls if isinstance(name, ast.Name) and name.id in KEYWORDS], path.name
