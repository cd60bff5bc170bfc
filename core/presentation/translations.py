"""Translate sentences. English sentences are the ids of `locale/<language>.po`.

A catalogue is parsed once, at its first use (about 20 ms), so no compiled file needs to be kept in step.
"""

import gettext
from collections.abc import Callable
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

_LOCALE_DIR = Path(__file__).parent / "locale"

LANGUAGES: tuple[str, ...] = ("en", "de", "fr", "es", "pt_BR", "ja")
"""Supported languages; English is the language of the message ids."""


@cache
def language_of(locale: str) -> str:
    """The best of LANGUAGES for a platform's locale tag (`pt-BR`, `de_DE`, `en-GB` …); English otherwise."""
    wanted = locale.replace("-", "_")
    for language in LANGUAGES:
        if wanted.lower() == language.lower():
            return language
    short = wanted.split("_")[0].lower()
    return next((language for language in LANGUAGES if language.split("_")[0] == short), "en")


@cache
def _catalog(language: str) -> Catalog | None:
    path = _LOCALE_DIR / f"{language}.po"
    if language == "en" or not path.exists():
        return None
    with path.open("rb") as file:
        return read_po(file, locale=language)


def translated(sentence: str, locale: str) -> str:
    """The sentence in the language of `locale`; for sentences marked `translatable` elsewhere."""
    catalog = _catalog(language_of(locale))
    message = catalog.get(sentence) if catalog is not None else None
    return message.string if message is not None and isinstance(message.string, str) and message.string else sentence


def tr(msgid: str, locale: str = "en", /, **facts: object) -> str:
    """`msgid` in the language of `locale`, with `{names}` replaced by facts; English if it is not translated."""
    text = translated(msgid, locale)
    return text.format(**facts) if facts else text


def joined(*sentences: str) -> str:
    """The non-empty sentences in one line, separated by spaces except after a Japanese full stop."""
    return "".join(part if part.endswith("。") else f"{part} " for part in sentences if part).rstrip()


@cache
def _plural_rule(expression: str) -> Callable[[int], int]:
    rule: Callable[[int], int] = gettext.c2py(expression)
    return rule


def trn(one: str, many: str, n: int, locale: str = "en", /, **facts: object) -> str:
    """The singular or plural sentence for `n`, by the language's own plural rule; `{n}` is filled in."""
    catalog = _catalog(language_of(locale))
    message = catalog.get(one) if catalog is not None else None
    text = one if n == 1 else many
    if catalog is not None and message is not None and not isinstance(message.string, str) and message.string:
        forms = message.string
        text = forms[min(_plural_rule(catalog.plural_expr)(n), len(forms) - 1)] or text
    return text.format(n=n, **facts)
