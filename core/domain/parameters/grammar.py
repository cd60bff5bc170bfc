"""The parser of parameters that people type, for every platform. Pure.

Accepts, in any order and case: `key=value`, `key:value`, `key value`, `30 steps`, `--key value`, `2x`/`x2`, names of
presets and models, `private`, quoted values and links. Typographic quotes, dashes and invisible spaces of chat clients
are normalised first, except inside links. The result is `Parsed`, or InvalidParameters with every problem.
"""

import html
import re
from collections.abc import Mapping
from types import MappingProxyType

from core.domain.errors import InvalidParameters, ParameterProblem
from core.domain.models import MODELS, Models
from core.domain.parameters.sizes import join_sizes, parse_target
from core.domain.parameters.spec import PRESETS, SPECS, Parsed, Presets
from core.domain.parameters.validation import validate
from core.domain.parameters.values import LINK, RANDOM, Collector, Raw, as_bool, canonical, collect, displayed, spaced
from core.domain.untrusted_text import clean

MAX_TEXT_CHARS = 4000
"""Discord's longest message (with Nitro); longer text is no list of parameters."""

_LOOK_BACK_CHARS = 40

_SPACES = dict.fromkeys(
    map(ord, "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"), " "
)
_INVISIBLE = dict.fromkeys(
    [0x00AD, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF, 0xE000, 0xE001]
)
"""Zero-width and direction marks, and the two private-use characters that stand for links below."""
_SIGNS = str.maketrans(
    {
        **dict.fromkeys("“”„‟«»″＂", '"'),
        **dict.fromkeys("‘’‚‛‹›′", "'"),
        **dict.fromkeys("‐‑‒–—―−﹣－", "-"),
        **dict.fromkeys("×✕✖⨯", "x"),
        **{chr(sign + 0xFEE0): chr(sign) for sign in range(ord("!"), ord("~") + 1) if chr(sign) not in "\"'`-<>"},
        "`": " ",
    }
)
"""Typographic forms inserted by chat clients, full-width forms of East Asian keyboards, and Markdown's backtick."""

_LONG_OPTION = re.compile(r"(?<![^\s,;])[-‐‑‒–—―−]+(?=[^\W\d])")
_ANGLE = re.compile(r"<([^<>]*)>")
_BARE_LINK = re.compile(r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}://[^\s<>\"“”„«»`]+", re.IGNORECASE)
_LINK_ENDS = ".,;:!?…'’*|~"
"""Punctuation and markup after a link, as in `||https://…||`."""

_JOINING = frozenset({"and", "with", "und", "mit", "et", "avec", "y", "con", "e", "com", "&", "+"})
_PLACEHOLDER = re.compile("\ue000([0-9]+)\ue001")
_BLANK = re.compile(r"\s+")
_SEPARATORS = re.compile(r"[\s,;\"']+")
_KEY = re.compile(r"-{0,2}([^\W\d][\w-]*)\s*[=:]")
_OPTION = re.compile(r"--([^\W\d][\w-]*)")
_QUOTED = re.compile(r"([\"'])(.*?)\1", re.DOTALL)
_WORD = re.compile(r"[^\s,;]+(?:,[0-9][^\s,;]*)*")
_FACTOR = re.compile(r"[+-]?[0-9.,]+x|x[+-]?[0-9.,]+", re.IGNORECASE)
_NAME_FIRST = re.compile(r"\s*(?:([\"'])(.+?)\1|([^\W\d][^\s=:,;]*))(?=[\s,;]|$)(?!\s*[=:])")
_NUMERIC = re.compile(r"[+-]?[0-9.,]+%?")
_NUMERIC_NAMES = "|".join(
    name.replace("_", "[_-]")
    for spec in SPECS.values()
    if spec.kind in ("float", "int")
    for name in (spec.name, *spec.aliases)
)
_NUMBER_FIRST = re.compile(rf"([+-]?[0-9.,]*[0-9]%?)\s*({_NUMERIC_NAMES})(?![\w-]|\s*[=:])", re.IGNORECASE)
"""`30 steps`; in "factor 2 steps 30" the 2 is taken by the name before it."""


def _is_size(word: str) -> bool:
    """Whether the word is a size without `to=`: `4k`, `3840x2160`, `a4@300dpi`; a bare `a4` may be a word."""
    target = parse_target("to", word) if len(word) <= _LOOK_BACK_CHARS and word[:1].isalnum() else None
    if target is None or target.resembles_factor or target.max_nanousd is not None:
        return False
    return "@" in word or word[0].isdigit()


def parse(
    text: str,
    options: Mapping[str, Raw] = MappingProxyType({}),
    models: Models = MODELS,
    *,
    model: object = None,
    presets: Presets = PRESETS,
    lenient: bool = False,
) -> Parsed:
    """Parse text and typed options for the model that they name, else `model`, else the first offered.

    `model` is the member's saved one and `presets` are those that the member has. `lenient`: the member's settings
    are not known, so what any offered model accepts is valid. Raises InvalidParameters with all problems, only.
    """
    own = str(model) if model is not None else None
    collected = [_Scanner(text, presets, models).run(), collect(options)]
    return validate(collected, models, presets, default_model=own, lenient=lenient)


def links_in(text: str) -> tuple[str, ...]:
    """The web links in a text that holds no parameters, in the order typed."""
    return tuple(link for link in _Scanner(text, PRESETS, MODELS).links if link.lower().startswith("http"))


def split_name(text: str) -> tuple[str, str]:
    """Split a leading name from the rest: `logo 4x` → (`logo`, `4x`). The name is empty if a value comes first."""
    plain = clean(text, MAX_TEXT_CHARS).translate(_SPACES).translate(_INVISIBLE).translate(_SIGNS)
    found = _NAME_FIRST.match(plain)
    name = found[2] or found[3] if found else ""
    return ("", text) if not found or _FACTOR.fullmatch(name) or _is_size(name) else (name, plain[found.end() :])


def is_reserved(word: str) -> bool:
    """Whether the parser understands this word as a parameter, value or built-in preset, or ignores it."""
    try:
        parse(word)
    except InvalidParameters as error:
        return canonical(word) is not None or parse_target("to", word) is not None or error.problems[0].kind != "stray"
    return True


class _Scanner:
    """Scans one text from left to right. Each step moves forward, so it terminates."""

    def __init__(self, text: str, presets: Presets, models: Models) -> None:
        self.presets = presets
        self.models = models
        self.collector = Collector()
        self.links: list[str] = []
        self.strays: list[str] = []
        self.first = True
        self.at = 0
        if len(text) > MAX_TEXT_CHARS:
            problem = ParameterProblem("text", f"{len(text):,}", "too_long", f"{MAX_TEXT_CHARS:,}")
            self.collector.add(problem)
            text = ""
        self.text = self._normalise(clean(text, MAX_TEXT_CHARS))

    def run(self) -> Collector:
        while True:
            self._take(_SEPARATORS)
            if self.at >= len(self.text):
                self._flush_strays()
                return self.collector
            if key := self._take(_KEY):
                self._add(key[1], self._value_after_sign())
            elif option := self._take(_OPTION):
                self._option(option[1])
            elif pair := self._take(_NUMBER_FIRST):
                self._add(pair[2], pair[1])
            else:
                self._word(self._take_word())
            self.first = False

    def _normalise(self, text: str) -> str:
        """Replace typographic signs, and each link by a placeholder of private-use characters."""
        text = spaced(text.translate(_SPACES).translate(_INVISIBLE))
        text = _BARE_LINK.sub(self._replace_bare_link, _ANGLE.sub(self._replace_angle_link, text))
        return join_sizes(_LONG_OPTION.sub("--", text).translate(_SIGNS))

    def _placeholder_for(self, address: str) -> str:
        self.links.append(address)
        return f"\ue000{len(self.links) - 1}\ue001"

    def _replace_angle_link(self, match: re.Match[str]) -> str:
        """Handle `<link>` (Discord) and `<link|label>` (Slack, which escapes &, < and >); drop mentions."""
        inner = match[1].split("|")[0].strip()
        if LINK.fullmatch(inner):
            before = match.string[max(0, match.start() - _LOOK_BACK_CHARS) : match.start()].rstrip()
            is_value = before[-1:] in ("=", ":", '"', "'", "“")
            placeholder = self._placeholder_for(html.unescape(inner))
            return placeholder if is_value else f" {placeholder} "
        return " " if inner[:1] in ("@", "#", "!") else f" {match[1]} "

    def _replace_bare_link(self, match: re.Match[str]) -> str:
        address = match[0].rstrip(_LINK_ENDS)
        if address.endswith(")") and "(" not in address:
            address = address.rstrip(")")
        return self._placeholder_for(address) + match[0][len(address) :].strip(_LINK_ENDS + ")")

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        if found := pattern.match(self.text, self.at):
            self.at = found.end()
        return found

    def _take_word(self) -> str:
        found = self._take(_WORD)
        return found[0].rstrip("\"'.!?…") if found else ""

    def _take_next(self) -> str:
        self._take(_SEPARATORS)
        return self._take_word()

    def _at_name(self) -> bool:
        return bool(_KEY.match(self.text, self.at) or _OPTION.match(self.text, self.at))

    def _value_after_sign(self) -> str:
        """Take the value after `=`; empty if another parameter, or nothing, follows."""
        if self._take(_BLANK) and self._at_name():
            return ""
        if quoted := self._take(_QUOTED):
            return quoted[2]
        if self.at >= len(self.text) or self.text[self.at] in ",;":
            return ""
        return self._take_word().lstrip("\"'")

    def _peek(self) -> str:
        """Return the next word if it can be a value; empty if a parameter, or nothing, follows."""
        mark = self.at
        self._take(_SEPARATORS)
        word = "" if self._at_name() else self._take_word()
        self.at = mark
        return word

    def _option(self, name: str) -> None:
        """Handle `--key value`; a switch may have no value (`--private`, `--no-safety`)."""
        known = canonical(name)
        off = canonical(name[3:]) if known is None and name[:3].lower() == "no-" else None
        if off in ("private", "safety"):
            return self._add(off, "off")
        quoted = _QUOTED.match(self.text, self.at + 1) if self.text[self.at : self.at + 1].isspace() else None
        if quoted:
            self.at = quoted.end()
            return self._add(name, quoted[2])
        word = self._peek()
        switch = known in ("private", "safety") and as_bool(word) is None
        alone = word.lower() in ("", "private", "public", *self.presets, *self.models.ids) or _is_size(word)
        if switch and (alone or _FACTOR.fullmatch(word) or _PLACEHOLDER.fullmatch(word)):
            return self._add(name, "on")
        return self._add(name, self._take_next() if word else "")

    def _word(self, word: str) -> None:
        """A word without `=`: link, factor, size, preset, model, `private`, a name before its value, or stray."""
        lower = word.lower()
        known = canonical(word)
        if placeholder := _PLACEHOLDER.fullmatch(word):
            self._add("url", self.links[int(placeholder[1])])
        elif not word.strip("-") or (self.first and (lower == "upscale" or lower[:1] == "/")):
            return
        elif _FACTOR.fullmatch(word):
            self._add("factor", word)
        elif _is_size(word):
            self._add("to", word)
        elif lower in self.presets:
            self._add("preset", lower)
        elif lower in _JOINING:
            return
        elif self.models.find(lower):
            self._add("model", lower)
        elif lower in ("private", "public"):
            self._add("private", "on" if lower == "private" else "off")
        elif known == "to" and parse_target(lower, self._peek()) is not None:
            self._add(word, self._take_next())
        elif known == "model" or (known == "preset" and lower == known):
            self._add(word, self._take_next() if self._names_choice(self._peek()) else "")
        elif known in SPECS and SPECS[known].kind in ("bool", "float", "int"):
            self._name_before_value(word, SPECS[known].kind == "bool")
        else:
            self.strays.append(self._with_links(word))

    def _names_choice(self, word: str) -> bool:
        return word.lower() in self.presets or self.models.find(word.lower()) is not None

    def _name_before_value(self, name: str, switch: bool) -> None:
        word = self._peek()
        fits = as_bool(word) is not None if switch else bool(_NUMERIC.fullmatch(word) or _FACTOR.fullmatch(word))
        fits = fits or (canonical(name) == "seed" and word.lower() == RANDOM)
        self._add(name, self._take_next() if fits else "")

    def _add(self, name: str, value: str) -> None:
        self._flush_strays()
        self.collector.put(name, self._with_links(value))

    def _with_links(self, value: str) -> str:
        return _PLACEHOLDER.sub(lambda match: self.links[int(match[1])], value)

    def _flush_strays(self) -> None:
        """Report consecutive stray words as one phrase."""
        if self.strays:
            self.collector.add(ParameterProblem("", displayed(" ".join(self.strays)), "stray"))
            self.strays = []
