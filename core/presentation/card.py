"""The card: one message to a person as plain data, which each adapter's `views/card.py` draws natively. Pure.

Builders in `core/presentation/cards` make cards from facts and a locale. Text in a card has no markup; adapters
escape it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Strong:
    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """Text to be typed or copied verbatim."""

    text: str


@dataclass(frozen=True, slots=True)
class Link:
    text: str
    url: str


MomentStyle: TypeAlias = Literal["relative", "date_time"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, shown in the reader's time zone if the platform can; `relative` ones count down by themselves."""

    at_unix_s: float
    style: MomentStyle = "relative"


@dataclass(frozen=True, slots=True)
class Mention:
    """A reference by id that notifies nobody; `name` is shown where the platform cannot resolve the id."""

    kind: Literal["user", "channel", "role"]
    id: str
    name: str = ""


Span: TypeAlias = str | Strong | Code | Link | Moment | Mention
Line: TypeAlias = tuple[Span, ...]

Tone: TypeAlias = Literal["working", "question", "done", "refusal", "error", "info"]
Style: TypeAlias = Literal["plain", "primary", "success", "danger"]

ActionKind: TypeAlias = Literal[
    "confirm", "cancel", "again", "more_creative", "twice_more", "compare", "details", "share", "delete", "dismiss",
    "redeliver", "factor", "same", "more_faithful", "model", "preview", "whole", "all", "erase", "export", "open_form",
    "admit", "refuse", "open_link",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A question to ask before an action, by the platform's own dialog or as a card."""

    title: str
    text: str
    yes: str
    no: str


@dataclass(frozen=True, slots=True)
class Action:
    """A button. The adapter makes the custom id from `kind`, `subject_id` (of a job or question) and `argument`."""

    kind: ActionKind
    label: str
    subject_id: str = ""
    argument: str = ""
    style: Style = "plain"
    url: str = ""
    """The target of an `open_link`."""
    confirmation: Confirmation | None = None


ChoiceKind: TypeAlias = Literal["pick", "redeliver", "cancel"]


@dataclass(frozen=True, slots=True)
class Option:
    value: str
    label: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A list from which up to `most` options can be chosen."""

    kind: ChoiceKind
    placeholder: str
    options: tuple[Option, ...]
    each: str
    """Label of the button beside each option, on platforms that draw the list with buttons."""
    subject_id: str = ""
    most: int = 1


PictureRole: TypeAlias = Literal["result", "comparison", "chart", "file"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A placeholder for an image or file, which the adapter finds by `role`."""

    role: PictureRole
    alt: str = ""
    spoiler: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    label: Line
    value: Line
    share: float | None = None
    """From 0 to 1, drawn as a bar beside the value."""


@dataclass(frozen=True, slots=True)
class Section:
    title: str = ""
    paragraphs: tuple[Line, ...] = ()
    facts: tuple[Fact, ...] = ()
    quote: str = ""
    """A quotation (the model's caption)."""
    code: str = ""
    """A block of text to copy."""


@dataclass(frozen=True, slots=True)
class Card:
    """One message. Parts are drawn in the order of the fields; empty ones are left out."""

    tone: Tone
    title: str = ""
    name: str = ""
    """The file name of the image that the message is about."""
    pictures: tuple[Picture, ...] = ()
    caption: str = ""
    """The model's caption, shown as a quotation."""
    bar: float | None = None
    """Progress from 0 to 1."""
    paragraphs: tuple[Line, ...] = ()
    facts: tuple[Fact, ...] = ()
    sections: tuple[Section, ...] = ()
    small: tuple[Line, ...] = ()
    choices: tuple[Choice, ...] = ()
    rows: tuple[tuple[Action, ...], ...] = ()
    summary: str = ""
    """The card as one line for notifications and screen readers; see `plain_summary` for cards without."""


def line_text(line: Line) -> str:
    """A line as plain text, for a terminal or a notification."""
    return "".join(_plain(span) for span in line)


def _plain(span: Span) -> str:
    if isinstance(span, str):
        return span
    if isinstance(span, Moment):
        return f"{datetime.fromtimestamp(span.at_unix_s, UTC):%Y-%m-%d %H:%M} UTC"
    if isinstance(span, Mention):
        return span.name or span.id
    return span.text


def plain_summary(card: Card, say: Callable[[Span], str] = _plain) -> str:
    """The card's summary, else its title, name and first paragraph; `say` turns each span into text."""
    if card.summary:
        return say(card.summary)
    head = " · ".join(say(part) for part in (card.title, card.name) if part)
    first = "".join(map(say, card.paragraphs[0])) if card.paragraphs else ""
    return (" " if head.endswith(("?", "？")) else " · ").join(part for part in (head, first) if part)


def line_of(*spans: Span) -> Line:
    """A line of the non-empty spans."""
    return tuple(span for span in spans if span != "")


def lines(*texts: str) -> tuple[Line, ...]:
    """One line for each line of the non-empty texts."""
    return tuple((line,) for text in texts for line in text.split("\n") if line)


def fill(template: str, **spans: Span) -> Line:
    """A line made from a translated sentence by replacing each `{name}` with the span of that name."""
    parts: list[Span] = []
    rest = template
    while rest:
        places = [(rest.find("{" + name + "}"), name) for name in spans if "{" + name + "}" in rest]
        if not places:
            parts.append(rest)
            break
        at, name = min(places)
        parts += [rest[:at], spans[name]]
        rest = rest[at + len(name) + 2 :]
    return line_of(*parts)
