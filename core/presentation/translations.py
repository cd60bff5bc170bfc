"""Sentences, numbers and dates in the reader's language. English sentences are the ids of `locale/<language>.po`.

A catalogue is parsed once, at its first use (about 20 ms), so no compiled file needs to be kept in step.
"""

import gettext
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

from babel.dates import format_date, format_interval, format_skeleton, get_datetime_format
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.units import format_unit

from core.domain.money import NANOUSD_PER_USD, usd

_LOCALE_DIR = Path(__file__).parent / "locale"

LANGUAGES: tuple[str, ...] = ("en", "de", "fr", "es", "pt_BR", "ja")
"""What the bot speaks; English is the language of the message ids."""


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
    """The sentence in the language of `locale`; for those that the domain marks `translatable`."""
    catalog = _catalog(language_of(locale))
    message = catalog.get(sentence) if catalog is not None else None
    return message.string if message is not None and isinstance(message.string, str) and message.string else sentence


def tr(msgid: str, locale: str = "en", /, **facts: object) -> str:
    """`msgid` in the language of `locale`, with `{names}` replaced by facts; English where not translated."""
    text = translated(msgid, locale)
    return text.format(**facts) if facts else text


def joined(*sentences: str) -> str:
    """In one line; after a Japanese full stop comes no space."""
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


_CENT_NANOUSD = NANOUSD_PER_USD // 100


def size(width_px: int, height_px: int) -> str:
    return f"{width_px}×{height_px}"


def number(value: float, locale: str, pattern: str = "#,##0.##") -> str:
    return format_decimal(value, format=pattern, locale=language_of(locale))


def cents(nanousd: int, locale: str, *, down: bool = False) -> str:
    """Money in whole cents: `$0.11`. What is paid is rounded up, what is left `down`, so that it never looks better."""
    whole = nanousd // _CENT_NANOUSD if down else -(-nanousd // _CENT_NANOUSD)
    return usd(whole * _CENT_NANOUSD, locale)


def percent(share: float, locale: str) -> str:
    """A share of 1 in whole per cent, as the language writes it: `40%`, `40 %`."""
    return format_percent(int(share * 100 + 1e-9) / 100, locale=language_of(locale))


def factor_text(factor: float, locale: str) -> str:
    return tr("{n}×", locale, n=number(factor, locale))


def mb(n_bytes: int, locale: str) -> str:
    """Bytes as megabytes of 10⁶: `12.3 MB`, `12,3 Mo`; small ones as kB."""
    unit, size_bytes = ("kilobyte", 1000) if n_bytes < 100_000 else ("megabyte", 1_000_000)
    told = format_unit(n_bytes / size_bytes, f"digital-{unit}", "short", "#,##0.#", language_of(locale))
    return told.replace(" ", "\u00a0").replace("Byte", "B")  # Portuguese has "MByte" for what people write as MB


def megapixels(value: float, locale: str) -> str:
    """`64 MP`, `0.5 MP`."""
    return tr("{n} MP", locale, n=number(value, locale))


def pixels(n_px: int, locale: str) -> str:
    return megapixels(n_px / 1_000_000, locale)


def labelled(label: str, text: str, locale: str) -> str:
    """`harbour.jpg: Upscaling`, with the space before the colon where the language has one."""
    return tr("{label}: {text}", locale, label=label, text=text)


def images(n: int, locale: str) -> str:
    return trn("{n} image", "{n} images", n, locale)


def moment(at: float, locale: str) -> str:
    """A unix time as date and time of day: `Nov 29, 2026, 14:05 UTC`."""
    when = datetime.fromtimestamp(at, UTC)
    language = language_of(locale)
    together = str(get_datetime_format("medium", locale=language)).replace("'", "")
    return together.format(f"{when:%H:%M} UTC", format_date(when, "medium", locale=language))


def period_text(first: date, last: date, locale: str) -> str:
    """Both days included: `November 23, 2026`, `November 2026` (also while it runs), or from one to the other."""
    language = language_of(locale)
    if first == last:
        return str(format_date(first, "long", locale=language))
    if first.day == 1 and (first.year, first.month) == (last.year, last.month):
        return str(format_skeleton("yMMMM", first, locale=language))
    return str(format_interval(first, last, "yMMMd", locale=language))


def seconds(value_s: float, locale: str) -> str:
    """A duration: `4.2 s`, `1 min 20 s`."""
    if value_s < 60:
        return tr("{n} s", locale, n=number(value_s, locale, "#,##0.#"))
    return tr("{minutes} min {n} s", locale, minutes=int(value_s // 60), n=int(value_s % 60))
