"""Removes ordinary words around parameters: "please upscale this, 3x, thanks". Pure."""

import re
from collections.abc import Collection

from core.domain.models import MODELS
from core.domain.parameters.sizes import join_sizes
from core.domain.parameters.spec import PRESETS, SPECS, Presets
from core.domain.parameters.values import canonical

_WORD = re.compile(r"<[^<>]*>|\S+")
_EMOJI = re.compile(r"(?:<?a?:[\w+~-]+:(?:\d+>)?)+")
_MARKUP = re.compile(r"<(?:t|mailto|tel|sms|id|/[^<>:]{1,100}):[^<>\s]{1,200}>")
"""Chat clients' markup of times, e-mail addresses, telephone numbers and commands."""

_NAMED_LINK = re.compile(r"\[[^\[\]]{0,200}\]\((<?https?://[^\s()<>]{1,2000}>?)\)", re.IGNORECASE)
_MENTION = re.compile(r"<[@#][^<>]{1,200}>")
_DECORATION = "*_~|()[]"
_DASHES = "-‐‑‒–—―−"
"""Dashes that chat clients substitute for the `--` of an option."""

_PUNCTUATION = " \t\n\"'“”„‘’«»()[]{}.,;!?…*_~|"
_VERBS = frozenset({"upscale", "upscaled", "upscaling"})
"""Names of a parameter only when followed by a value."""

_COMMON = frozenset({"need", "send", "see", "seen", "sees", "step", "stop", "stops", "mode", "feed", "weed", "seek"})
"""Common words within one edit of a parameter's name."""

_REQUEST_WORDS = (
    "upscal", "enlarg", "enhanc", "bigger", "larger", "sharper", "resol", "vergröß", "vergroess", "größer", "groesser",
    "schärfer", "agrand", "améli", "nett", "ampl", "aument", "grand", "mejor", "melhor", "nítid", "拡大", "大きく",
    "画質", "解像", "アップスケール", "高精細",
)  # fmt: skip
"""Parts of words that request an enlargement, in every language of the bot."""


def is_small_talk(text: str, presets: Presets = PRESETS) -> bool:
    """Whether a text requests nothing: no parameter and no word for enlarging ("thanks, looks great!")."""
    words = _MENTION.sub(" ", text).lower()
    asks = without_ordinary_words(words, presets) or any(part in words for part in _REQUEST_WORDS)
    return bool(words.strip(_PUNCTUATION)) and not asks


def without_ordinary_words(text: str, presets: Presets = PRESETS) -> str:
    """Remove words that cannot be meant as parameters. `presets` are those that the member has.

    Kept are words with `=` or `:` (except emoji codes) or a digit, words that the parser knows, and words within one
    edit of a name of at least four letters, so that a typo is reported. "2 times", "by 2", "2倍" become `2x`.
    """
    flags = {"private", "public", *presets}
    text = _NAMED_LINK.sub(r" \1 ", _MARKUP.sub(" ", text))
    words = [
        word if "://" in word else word.strip(_DECORATION)
        for word in _WORD.findall(join_sizes(text))
        if not _EMOJI.fullmatch(word.strip(_PUNCTUATION))
    ]
    following = zip(words, [*words[1:], ""], strict=False)
    return " ".join(word for word, after in following if _may_be_parameter(word, after, flags))


def _may_be_parameter(word: str, after: str, flags: Collection[str]) -> bool:
    plain = word.strip(_PUNCTUATION).lower()
    if plain in _VERBS:
        return after[:1] in ("=", ":")
    if any(sign in word for sign in "=:＝：") or any(sign.isdigit() for sign in word) or plain.startswith("--"):
        return True
    plain = plain.lstrip(_DASHES)
    if plain in flags or canonical(plain) is not None or plain in (*MODELS.ids, "on", "off"):
        return True
    return plain not in _COMMON and any(len(name) >= 4 and within_one_edit(plain, name) for name in (*SPECS, *flags))


def within_one_edit(one: str, other: str) -> bool:
    if abs(len(one) - len(other)) > 1:
        return False
    short, long = sorted((one, other), key=len)
    same = next((n for n, sign in enumerate(short) if sign != long[n]), len(short))
    if len(short) == len(long):
        return short[same + 1 :] == long[same + 1 :] or (
            short[same : same + 2] == long[same : same + 2][::-1] and short[same + 2 :] == long[same + 2 :]
        )
    return short[same:] == long[same + 1 :]
