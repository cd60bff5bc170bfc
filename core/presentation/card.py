"""The card: one message to a person, as plain data that every platform draws its own way. Pure.

Builders in `core/presentation/cards` make cards from facts and a locale and hold the sentences. An adapter's
`views/card.py` draws any card natively; text in a card is plain and is escaped there.
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
    """Something to be typed or copied as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Link:
    text: str
    url: str


MomentStyle: TypeAlias = Literal["relative", "date_time"]


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant, shown in the reader's own zone where the platform can; `relative` counts by itself."""

    at_unix_s: float
    style: MomentStyle = "relative"


@dataclass(frozen=True, slots=True)
class Mention:
    """Somebody or something of the platform, by id. It pings nobody; `name` stands where ids cannot be shown."""

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
    """A question asked before an action where the platform has one of its own."""

    title: str
    text: str
    yes: str
    no: str


@dataclass(frozen=True, slots=True)
class Action:
    """A button. The adapter makes its own id from `kind`, `subject_id` (a job, a question) and `argument`."""

    kind: ActionKind
    label: str
    subject_id: str = ""
    argument: str = ""
    style: Style = "plain"
    url: str = ""
    """Where an `open_link` leads."""
    confirmation: Confirmation | None = None


ChoiceKind: TypeAlias = Literal["pick", "redeliver", "cancel"]


@dataclass(frozen=True, slots=True)
class Option:
    value: str
    label: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A list to choose one or up to `most` entries from."""

    kind: ChoiceKind
    placeholder: str
    options: tuple[Option, ...]
    each: str
    """The words of a button beside each entry, on a platform that draws it so."""
    subject_id: str = ""
    most: int = 1


PictureRole: TypeAlias = Literal["result", "comparison", "chart", "file"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A place for an image or a file; which one it is, the adapter knows by `role`."""

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
    """Words of somebody else (the model's caption)."""
    code: str = ""
    """A block to be copied."""


@dataclass(frozen=True, slots=True)
class Card:
    """One message. Parts are drawn in the order of the fields; whatever is empty is not drawn."""

    tone: Tone
    title: str = ""
    name: str = ""
    """The image's file name, where the message is about one."""
    pictures: tuple[Picture, ...] = ()
    caption: str = ""
    """The model's words about the picture, shown as a quotation."""
    bar: float | None = None
    """Progress from 0 to 1."""
    paragraphs: tuple[Line, ...] = ()
    facts: tuple[Fact, ...] = ()
    sections: tuple[Section, ...] = ()
    small: tuple[Line, ...] = ()
    choices: tuple[Choice, ...] = ()
    rows: tuple[tuple[Action, ...], ...] = ()
    summary: str = ""
    """The card in one plain line, for notifications and screen readers; `plain_summary` has one for every card."""


def line_text(line: Line) -> str:
    """A line as plain words, for a terminal or a notification."""
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
    """The card's summary, else its title, name and first paragraph; each span as `say` says it."""
    if card.summary:
        return say(card.summary)
    head = " · ".join(say(part) for part in (card.title, card.name) if part)
    first = "".join(map(say, card.paragraphs[0])) if card.paragraphs else ""
    return (" " if head.endswith(("?", "？")) else " · ").join(part for part in (head, first) if part)


def line_of(*spans: Span) -> Line:
    """A line of the given spans, without the empty ones."""
    return tuple(span for span in spans if span != "")


def lines(*texts: str) -> tuple[Line, ...]:
    """A line each of the given sentences that are not empty; one text may hold several."""
    return tuple((line,) for text in texts for line in text.split("\n") if line)


def fill(template: str, **spans: Span) -> Line:
    """A translated sentence with a span in the place of each `{name}` that is left in it."""
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
