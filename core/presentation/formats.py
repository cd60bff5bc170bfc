"""Format numbers, money, sizes and dates in the reader's language."""

from datetime import UTC, date, datetime
from decimal import Decimal

from babel.dates import format_date, format_interval, format_skeleton, get_datetime_format
from babel.numbers import format_currency, format_decimal, format_percent
from babel.units import format_unit

from core.domain.money import NANOUSD_PER_USD
from core.presentation.translations import language_of, tr, trn

_CENT_NANOUSD = NANOUSD_PER_USD // 100
_MIN_SHOWN_MP = 0.01
_BEFORE, _AFTER = "¤#,##0.00##", "#,##0.00##\u00a0¤"
_PRICE_PATTERNS = {"de": _AFTER, "fr": _AFTER, "es": _AFTER, "pt_BR": "¤\u00a0#,##0.00##"}


def size(width_px: int, height_px: int) -> str:
    return f"{width_px}×{height_px}"


def cut(text: str, max_chars: int) -> str:
    """Shorten to `max_chars` characters, with an ellipsis."""
    return text if len(text) <= max_chars else text[: max_chars - 1].rstrip() + "…"


def bar(share: float, cells: int) -> str:
    full = round(cells * min(1.0, max(0.0, share)))
    return "▰" * full + "▱" * (cells - full)


def number(value: float, locale: str, pattern: str = "#,##0.##") -> str:
    return format_decimal(value, format=pattern, locale=language_of(locale))


def usd(nanousd: int, locale: str = "en") -> str:
    """Format a price: `$1.60`; amounts that are not whole cents keep up to four digits (`$0.0125`)."""
    language = language_of(locale)
    pattern = _PRICE_PATTERNS.get(language, _BEFORE)
    amount = Decimal(nanousd) / NANOUSD_PER_USD
    return format_currency(amount, "USD", format=pattern, locale=language, currency_digits=False)


def cents(nanousd: int, locale: str, *, down: bool = False) -> str:
    """Money in whole cents: `$0.11`. What is paid is rounded up, what is left `down`, so that it never looks better."""
    whole = nanousd // _CENT_NANOUSD if down else -(-nanousd // _CENT_NANOUSD)
    return usd(whole * _CENT_NANOUSD, locale)


def with_price(label: str, nanousd: int | None, locale: str) -> str:
    """`Preview $0.10`; the label alone if there is nothing to pay, or the price is unknown."""
    return f"{label} {cents(nanousd, locale)}" if nanousd else label


def percent(share: float, locale: str) -> str:
    """A share of 1 in whole per cent, as the language writes it: `40%`, `40 %`."""
    return format_percent(int(share * 100 + 1e-9) / 100, locale=language_of(locale))


def factor_text(factor: float, locale: str) -> str:
    return tr("{n}×", locale, n=number(factor, locale))


def file_size(n_bytes: int, locale: str) -> str:
    """Bytes as megabytes of 10⁶: `12.3 MB`, `12,3 Mo`; small ones as kB."""
    unit, size_bytes = ("kilobyte", 1000) if n_bytes < 100_000 else ("megabyte", 1_000_000)
    text = format_unit(n_bytes / size_bytes, f"digital-{unit}", "short", "#,##0.#", language_of(locale))
    return text.replace(" ", "\u00a0").replace("Byte", "B")  # Portuguese has "MByte" for what people write as MB


def megapixels(value: float, locale: str) -> str:
    """`64 MP`, `0.5 MP`; an image that would read `0 MP` is `<0.01 MP`."""
    is_tiny = 0 < value < _MIN_SHOWN_MP
    return tr("{n} MP", locale, n="<" * is_tiny + number(_MIN_SHOWN_MP if is_tiny else value, locale))


def pixel_count(n_px: int, locale: str) -> str:
    return megapixels(n_px / 1_000_000, locale)


def labelled(label: str, text: str, locale: str) -> str:
    """`harbour.jpg: Upscaling`, with the space before the colon where the language has one."""
    return tr("{label}: {text}", locale, label=label, text=text)


def image_count(n: int, locale: str) -> str:
    return trn("{n} image", "{n} images", n, locale)


def date_time(at: float, locale: str) -> str:
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


def duration(value_s: float, locale: str) -> str:
    """`4.2 s`, `1 min 20 s`."""
    if value_s < 60:
        return tr("{n} s", locale, n=number(value_s, locale, "#,##0.#"))
    return tr("{minutes} min {n} s", locale, minutes=int(value_s // 60), n=int(value_s % 60))
