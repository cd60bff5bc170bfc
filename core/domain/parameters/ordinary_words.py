"""Removes ordinary words around parameters: "please upscale this, 3x, thanks". Pure."""

import re
from collections.abc import Collection

from core.domain.models import MODELS
from core.domain.parameters.sizes import join_sizes, parse_target
from core.domain.parameters.spec import PRESETS, SPECS
from core.domain.parameters.values import RANDOM, canonical, spaced

NAMES = (*PRESETS, *MODELS.ids)

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
_ASIDE = re.compile(
    r"[<>]?[:=]['’]?[-o^]?(?:[()\[\]{}/\\|*]+|[dpo3]+)|(?:<|&lt;)/?3+|\d{1,2}[:h]\d\d|100%|[:=]",
    re.IGNORECASE,
)
"""Emoticons, clock times, "100%" and lone signs ("@bot: 2x"), unless a parameter's name comes before them."""

_NUMBER = re.compile(r"[+-]?(?:\d*[.,])?\d+%?")
_HALF_DAY = re.compile(r"(?<![\w.,=:-])\d{1,2}(?::\d\d)?\s?[ap]\.?m\b\.?", re.IGNORECASE)
_ONLY_WITH_SIGN = frozenset({"upscale", "upscaled", "upscaling", "url", "link", "image"})
_ONLY_WITH_VALUE = frozenset({"to", "size", "max", "scale", "cfg"})
"""Names of a parameter that are common words as well."""

_COMMON = frozenset({
    "actor", "balance", "deed", "factory", "feed", "flex", "flu", "focal", "locals", "loyal", "mode", "modell",
    "modelo", "models", "modes", "need", "safely", "see", "seeds", "seek", "seen", "sees", "send", "shed", "sped",
    "speed", "steep", "stems", "step", "stop", "stops", "vocal", "weed",
})  # fmt: skip
"""Common words within one edit of a name."""

_REQUEST_WORDS = (
    "upscal", "enlarg", "enhanc", "bigger", "larger", "sharper", "resol", "vergröß", "vergroess", "größer", "groesser",
    "schärfer", "agrand", "améli", "nett", "ampl", "aument", "grand", "mejor", "melhor", "nítid", "拡大", "大きく",
    "画質", "解像", "アップスケール", "高精細",
)  # fmt: skip
"""Parts of words that request an enlargement, in every language of the bot."""


_HELP = frozenset({"help", "/help", "hilfe", "aide", "ayuda", "ajuda", "ヘルプ"})


def asks_for_help(text: str) -> bool:
    """Whether a text to the bot is only the word for help, in any language of the bot."""
    return _MENTION.sub(" ", text).strip(_PUNCTUATION).lower() in _HELP


def is_small_talk(text: str, names: Collection[str] = NAMES) -> bool:
    """Whether a text requests nothing: no parameter and no word for enlarging ("thanks, looks great!")."""
    words = _MENTION.sub(" ", text).lower()
    asks = without_ordinary_words(words, names) or any(part in words for part in _REQUEST_WORDS)
    return bool(words.strip(_PUNCTUATION)) and not asks


def without_ordinary_words(text: str, names: Collection[str] = NAMES) -> str:
    """Remove words that cannot be meant as parameters. `names` are those of the member's presets and of the models.

    Kept are words with `=` or `:` (except emoji codes) or a digit, words that the parser knows, and words within one
    edit of a name of at least four letters, so that a typo is reported. "2 times", "by 2", "2倍" become `2x`.
    """
    text = _NAMED_LINK.sub(r" \1 ", _MARKUP.sub(" ", _HALF_DAY.sub(" ", spaced(text))))
    words = [word for word in _WORD.findall(join_sizes(text)) if not _EMOJI.fullmatch(word.strip(_PUNCTUATION))]
    flags = {"private", "public", *names}
    kept: list[str] = []
    named = numbered = False  # the word before is a name without its value, or a number that no name has taken
    for word, after in zip(words, [*words[1:], ""], strict=False):
        plain = word.lstrip(_DECORATION) if "://" in word else word.strip(_DECORATION)
        aside = not named and _ASIDE.fullmatch(word.rstrip(".,!?…"))
        if not aside and _may_be_parameter(plain, after.strip(_PUNCTUATION), flags, named=named):
            kept.append(plain)
            is_name = canonical(plain.strip(_PUNCTUATION)) is not None
            named, numbered = (
                plain[-1:] in ("=", ":") or (is_name and not numbered),
                not named and _NUMBER.fullmatch(plain) is not None,
            )
        elif numbered:  # "5 cats on the steps" are not five steps
            kept[-1] += ","
            numbered = False
    return " ".join(kept)


def _may_be_parameter(word: str, after: str, flags: Collection[str], *, named: bool) -> bool:
    """`named`: the word kept before this one is a name without its value."""
    plain = word.strip(_PUNCTUATION).lower()
    if plain in _ONLY_WITH_SIGN or plain in _ONLY_WITH_VALUE:
        has_value = plain in _ONLY_WITH_VALUE and (_has_digit(after) or parse_target(plain, after) is not None)
        return after[:1] in ("=", ":") or (has_value and not named)
    if any(sign in word for sign in "=:＝：") or _has_digit(word) or plain.startswith("--"):
        return True
    plain = plain.lstrip(_DASHES)
    if plain in flags or canonical(plain) is not None:
        return True
    if plain in ("on", "off", RANDOM) or parse_target("to", plain) is not None:
        return named
    return plain not in _COMMON and any(len(name) >= 4 and within_one_edit(plain, name) for name in (*SPECS, *flags))


def _has_digit(word: str) -> bool:
    return any(sign.isdigit() for sign in word)


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
