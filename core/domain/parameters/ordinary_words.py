"""Leaves ordinary words out of what people say around parameters: "please upscale this, 3x, thanks". Pure."""

import re

from core.domain.parameters.spec import PRESETS, SPECS
from core.domain.parameters.values import canonical

_WORD = re.compile(r"\S+")
_EMOJI = re.compile(r"<?a?:[A-Za-z0-9_+~-]+:(?:\d+>)?")
_EDGES = " \t\n\"'“”„‘’«»()[]{}.,;!?…*_~|"
_FLAGS = frozenset({"private", "public", *PRESETS})
_SAID = frozenset({"upscale", "upscaled", "upscaling"})
"""What everybody says; as names they count only with a value."""


def without_ordinary_words(text: str) -> str:
    """The text without words that cannot be meant as parameters.

    Kept is what holds `=` or `:` (emoji codes aside) or a number, what has a meaning of its own, and what is within
    one edit of a name of four letters or more, so that a mistake is named.
    """
    words = [found[0] for found in _WORD.finditer(text) if not _EMOJI.fullmatch(found[0].strip(_EDGES))]
    kept = []
    for number, word in enumerate(words):
        after = words[number + 1] if number + 1 < len(words) else ""
        if _may_be_meant(word, after):
            kept.append(word)
    return " ".join(kept)


def _may_be_meant(word: str, after: str) -> bool:
    plain = word.strip(_EDGES).lower()
    if plain in _SAID:
        return after[:1] in ("=", ":")
    if any(sign in word for sign in "=:＝：") or any(sign.isdigit() for sign in word) or plain.startswith("--"):
        return True
    if plain in _FLAGS or canonical(plain) is not None or plain in ("on", "off"):
        return True
    return any(len(name) >= 4 and _within_one_edit(plain, name) for name in (*SPECS, *_FLAGS))


def _within_one_edit(one: str, other: str) -> bool:
    if abs(len(one) - len(other)) > 1:
        return False
    short, long = sorted((one, other), key=len)
    same = next((n for n, sign in enumerate(short) if sign != long[n]), len(short))
    if len(short) == len(long):
        return short[same + 1 :] == long[same + 1 :] or (
            short[same : same + 2] == long[same : same + 2][::-1] and short[same + 2 :] == long[same + 2 :]
        )
    return short[same:] == long[same + 1 :]
