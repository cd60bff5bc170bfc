"""Draw any card as Block Kit. Pure.

Text of members and of the model goes only into plain_text and rich_text, which have no markup and notify nobody.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import assert_never

from adapters.slack.views import blocks as b
from adapters.slack.views.blocks import Block, Content
from core.presentation import bar
from core.presentation import card as c

BAR_CELLS = 12
CHOICES_SHOWN = 10
BUTTONS_MAX = 25
LINES_MAX_CHARS = 9000
"""Slack refuses messages of more than about 11,000 characters in all blocks (bolt-js #2867, read 2026-11-30)."""
_ICONS: dict[c.Tone, str] = {"error": "warning", "refusal": "warning", "info": "information_source"}
_MOMENTS: dict[c.MomentStyle, str] = {
    "relative": "{date_short_pretty}, {time}",
    "date_time": "{date_short}, {time}",
}
_SIGNS = {"user": "@", "channel": "#", "role": "!subteam^"}
_NO_JOB = {"export": "export", "erase": "erase", "open_form": "form"}


def draw(card: c.Card, *, image_id: str | None = None, deleted_with: Sequence[str] = ()) -> Content:
    """`image_id` is the file to show. The delete button carries `deleted_with`: files and messages to delete, too."""
    title = " · ".join(part for part in (card.title, card.name) if part)
    picture = next((one for one in card.pictures if image_id and one.role != "file"), None)
    image = b.image(image_id, picture.alt, card.name) if image_id and picture is not None else None
    lines = list(_within_limit(_head(card, "" if image else title)))
    blocks = b.non_empty(
        image,
        b.rich(*lines) if lines else None,
        b.quote(card.caption) if card.caption else None,
        *(block for section in card.sections for block in _section(section)),
        *_small(card.small),
        *(row for choice in card.choices for row in _choice(choice)),
        b.actions(*[_button(one, deleted_with) for actions in card.rows for one in actions][:BUTTONS_MAX]),
    )
    return Content(c.plain_summary(card, _notification_text), blocks)


def _notification_text(span: c.Span) -> str:
    """Escaped text for a notification, in which Slack replaces ids by names."""
    if isinstance(span, c.Mention) and _is_bare(span):
        return f"<{_SIGNS[span.kind]}{span.id}>"
    return b.escaped(c.line_text((span,)))


def _is_bare(mention: c.Mention) -> bool:
    """Whether the mention has no name that says more than its id."""
    return bool(mention.id) and (not mention.name or mention.name.endswith(mention.id))


def _head(card: c.Card, title: str) -> Iterator[list[Block]]:
    """The title and paragraphs, with an icon before the first line and a bar before the first paragraph."""
    icon = [b.emoji(_ICONS[card.tone]), b.text_run(" ")] if card.tone in _ICONS and not card.pictures else []
    if title:
        yield [*icon, b.text_run(title, bold=True)]
    for number, line in enumerate(card.paragraphs):
        before = [b.text_run(f"{bar(card.bar, BAR_CELLS)}  ")] if card.bar is not None and not number else []
        yield [*(icon if not title and not number else []), *before, *_line(line)]
    yield from map(_fact, card.facts)


def _within_limit(lines: Iterable[list[Block]]) -> Iterator[list[Block]]:
    left = LINES_MAX_CHARS
    for line in lines:
        left -= sum(len(str(one.get("text", ""))) for one in line)
        if left < 0:
            yield [b.text_run("…")]
            return
        yield line


def _fact(fact: c.Fact) -> list[Block]:
    between = "  " if fact.share is None else f"\n{bar(fact.share, BAR_CELLS)}  "
    label = [one | {"style": {"bold": True}} if one["type"] == "text" else one for one in _line(fact.label)]
    return [*label, b.text_run(between), *_line(fact.value)]


def _section(section: c.Section) -> Iterator[Block]:
    lines = [[b.text_run(section.title, bold=True)]] if section.title else []
    lines += [_line(line) for line in section.paragraphs]
    lines += map(_fact, section.facts)
    if lines:
        yield b.rich(*lines)
    if section.quote:
        yield b.quote(section.quote)
    if section.code:
        yield {
            "type": "rich_text",
            "elements": [{"type": "rich_text_preformatted", "elements": [b.text_run(section.code)]}],
        }


def _small(lines: Sequence[c.Line]) -> Iterator[Block | None]:
    """Grey context lines, except lines with a time, which only rich_text shows in the member's time zone."""
    yield b.context(*(c.line_text(line) for line in lines if not _has_moment(line)))
    moments = [_line(line) for line in lines if _has_moment(line)]
    if moments:
        yield b.rich(*moments)


def _has_moment(line: c.Line) -> bool:
    return any(isinstance(span, c.Moment) for span in line)


def _line(line: c.Line) -> list[Block]:
    return [_span(span) for span in line]


def _span(span: c.Span) -> Block:
    match span:
        case str():
            return b.text_run(span)
        case c.Strong():
            return b.text_run(span.text, bold=True)
        case c.Code():
            return b.text_run(span.text, code=True)
        case c.Link():
            return {"type": "link", "url": span.url, "text": span.text}
        case c.Moment():
            return b.clock_time(span.at_unix_s, pattern=_MOMENTS[span.style])
        case c.Mention():
            # A user element notifies, so a name is preferred if there is one.
            if not _is_bare(span):
                return b.text_run(span.name)
            kind = "usergroup" if span.kind == "role" else span.kind
            return {"type": kind, f"{kind}_id": span.id}
        case _:
            assert_never(span)


def _choice(choice: c.Choice) -> Iterator[Block | None]:
    """A row with a button for each entry; for the queue, whose numbered list stands above, a button for each number.

    Of several pictures any may be ticked before the one button is pressed.
    """
    if choice.kind == "cancel":
        named = [(f"{number}. {choice.each}", one.value) for number, one in enumerate(choice.options[:BUTTONS_MAX], 1)]
        yield b.actions(*(b.button(words, f"job:cancel:{job_id}") for words, job_id in named))
        return
    if choice.kind == "pick":
        yield b.actions(b.checkboxes("ui:picked", choice.options[:CHOICES_SHOWN]))
        yield b.actions(b.button(choice.each, f"job:pick:{choice.subject_id}"))
        return
    for option in choice.options[:CHOICES_SHOWN]:
        words = " · ".join(part for part in (option.label, option.description) if part)
        button = b.button(choice.each, f"job:{choice.kind}:{option.value}")
        yield {"type": "section", "text": b.plain(words), "accessory": button}


def _button(action: c.Action, deleted_with: Sequence[str]) -> Block:
    sure = action.confirmation
    if action.kind == "open_link":
        return b.button(action.label, f"job:download:{action.subject_id}", url=action.url)
    verb = _NO_JOB.get(action.kind)
    argument = f":{action.argument}" if action.argument else ""
    return b.button(
        action.label,
        f"ui:{verb}" if verb else f"job:{action.kind}:{action.subject_id}{argument}",
        value=",".join(deleted_with) if action.kind == "delete" else "",
        style="danger" if action.style == "danger" else "primary" if action.style in ("primary", "success") else "",
        confirm=b.confirmation(sure.title, sure.text, sure.yes, sure.no) if sure is not None else None,
    )
