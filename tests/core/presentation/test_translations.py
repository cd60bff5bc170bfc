"""Every sentence in the source can be read by the tool and stands, translated, in every catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.presentation import tr, trn
from core.presentation.translation_tool import TRANSLATED, Sentence, faults, placeholders, read, scan, update

FOUND = scan()


def test_every_sentence_in_the_source_is_a_literal() -> None:
    assert FOUND.unreadable == [], "the first argument of tr (and the first two of trn) must be literal strings"


def test_the_source_holds_sentences() -> None:
    assert len(FOUND.sentences) > 100


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_sentence_is_translated(language: str) -> None:
    missing = faults(read(language), FOUND.sentences)
    assert not missing, f"{len(missing)} faults in {language}.po (run `make messages`):\n" + "\n".join(missing[:30])


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_translation_can_be_filled_in(language: str) -> None:
    for sentence in FOUND.sentences.values():
        facts = dict.fromkeys(sentence.places - {"n"}, "x")
        if sentence.many is None:
            assert "{" not in tr(sentence.one, language, **facts, **({"n": 2} if "n" in sentence.places else {}))
            continue
        for n in (0, 1, 2, 5, 1_000_000):
            assert "{" not in trn(sentence.one, sentence.many, n, language, **facts)


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_catalogue_holds_sentences_that_nobody_says(language: str) -> None:
    stale = [message.id for message in read(language) if message.id]
    ids = [one[0] if isinstance(one, tuple | list) else one for one in stale]
    assert [one for one in ids if one not in FOUND.sentences] == [], "run `make messages`"


def test_the_tool_adds_what_is_missing_and_keeps_what_is_there(tmp_path: Path) -> None:
    hello = Sentence("Hello {name}", None, "a.py:1")
    apples = Sentence("{n} apple", "{n} apples", "a.py:2")
    update("de", {hello.one: hello}, tmp_path)
    assert faults(read("de", tmp_path), {hello.one: hello}) == ["a.py:1: not translated: 'Hello {name}'"]
    path = tmp_path / "de.po"
    path.write_text(
        path.read_text().replace('msgid "Hello {name}"\nmsgstr ""', 'msgid "Hello {name}"\nmsgstr "Hallo {name}"')
    )
    update("de", {hello.one: hello, apples.one: apples}, tmp_path)
    assert faults(read("de", tmp_path), {hello.one: hello}) == []
    assert len(faults(read("de", tmp_path), {apples.one: apples})) == 1
    update("de", {}, tmp_path)
    assert len(read("de", tmp_path)) == 0


def test_a_translation_with_other_names_in_braces_is_a_fault(tmp_path: Path) -> None:
    hello = Sentence("Hello {name}", None, "a.py:1")
    (tmp_path / "de.po").write_text(
        'msgid ""\nmsgstr "Language: de\\n"\n\nmsgid "Hello {name}"\nmsgstr "Hallo {nom}"\n'
    )
    assert "must hold name in braces" in faults(read("de", tmp_path), {hello.one: hello})[0]


def test_calls_without_a_literal_are_reported(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "a.py").write_text(
        'x = "a"\ntr(x)\ntr("one {a}", "de")\nm.trn("{n} b", "{n} bs", 2)\ntrn(x, "y", 1)\n'
    )
    found = scan(tmp_path, ["core"])
    assert found.unreadable == ["core/a.py:2", "core/a.py:5"]
    assert list(found.sentences) == ["one {a}", "{n} b"]


def test_placeholders_are_the_names_in_braces() -> None:
    assert placeholders("{a} and {b} of {a}, {{not}}") == {"a", "b"}
