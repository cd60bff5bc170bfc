"""Draws any card as Components V2, one container per message. Pure.

Discord takes 40 components and 4,000 characters of text per message (Components V2 reference, read 2026-11-22).

The custom_id of a button or select holds all that its handler needs, so that it works after a restart, in any process.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import discord
from discord import ui

from adapters.discord.views import markup
from core.presentation import bar, cut
from core.presentation import card as c

_PRESS = re.compile(r"up1s?:(?P<action>[a-z_]+):(?P<subject>[0-9a-z]*)(?::(?P<argument>[0-9a-z._-]*))?")


@dataclass(frozen=True, slots=True)
class Press:
    """A parsed custom_id: the action, its subject (mostly a job id), an argument, and the values of a select."""

    action: str
    subject: str
    argument: str = ""
    values: tuple[str, ...] = ()


def parse_press(data: dict[str, Any]) -> Press | None:
    """Parse an interaction's data; None for a custom_id that is not ours."""
    found = _PRESS.fullmatch(str(data.get("custom_id", "")))
    if found is None:
        return None
    return Press(found["action"], found["subject"], found["argument"] or "", tuple(map(str, data.get("values") or ())))


def has_component(message: discord.Message | None, custom_id: str) -> bool:
    """Whether the message of an interaction, which Discord includes, has this component.

    Otherwise a forged interaction could choose which of our messages is edited.
    """
    waiting: list[Any] = list(message.components) if message is not None else []
    while waiting:
        one = waiting.pop()
        if getattr(one, "custom_id", None) == custom_id:
            return True
        waiting += getattr(one, "children", ())
        waiting += filter(None, (getattr(one, "accessory", None),))
    return False


TEXT_MAX = 4000
CAPTION_MAX = 1200
ALT_MAX = 1024
LABEL_MAX, OPTION_MAX, PLACEHOLDER_MAX = 80, 100, 150
BUTTONS_A_ROW = 5
BAR_CELLS = 14
URL_MAX = 512
"""Of a link button; a longer URL becomes a link in the text."""

_COLOURS: dict[c.Tone, int] = {
    "working": 0x5865F2,
    "question": 0xF0B232,
    "done": 0x23A55A,
    "error": 0xDA373C,
    "refusal": 0xF0B232,
    "info": 0x80848E,
}
_STYLES: dict[c.Style, discord.ButtonStyle] = {
    "plain": discord.ButtonStyle.secondary,
    "primary": discord.ButtonStyle.primary,
    "success": discord.ButtonStyle.success,
    "danger": discord.ButtonStyle.danger,
}
_EMOJI: dict[c.ActionKind, str] = {"again": "🎲", "more_creative": "✨", "twice_more": "🔍", "delete": "🗑️"}
_MENTIONS = {"user": "<@{}>", "channel": "<#{}>", "role": "<@&{}>"}
_MOMENTS = {"relative": "R", "date_time": "f"}

Item = ui.Item[Any]


def draw(card: c.Card, files: Mapping[c.PictureRole, str] | None = None) -> ui.LayoutView:
    """A new view for one edit or post. `files`: the names of the uploads; pictures without one are left out."""
    view = ui.LayoutView(timeout=None)
    view.add_item(ui.Container(*_items(card, files or {}), accent_colour=_COLOURS[card.tone]))
    # The library keeps every sent view with buttons in memory unless it is stopped. Our clicks need no view.
    view.stop()
    return view


def _items(card: c.Card, files: Mapping[c.PictureRole, str]) -> Iterator[Item]:
    shown = [picture for picture in card.pictures if files.get(picture.role) and picture.role != "file"]
    for picture in shown:
        media = discord.MediaGalleryItem(
            f"attachment://{files[picture.role]}",
            description=cut(picture.alt, ALT_MAX) or None,
            spoiler=picture.spoiler,
        )
        yield ui.MediaGallery(media)
    chars_left = TEXT_MAX
    for number, block in enumerate(_blocks(card, with_name=not shown)):
        text = cut(block, chars_left)
        if not text:
            continue
        chars_left -= len(text)
        if number:
            yield _separator()
        yield ui.TextDisplay(text)
    for picture in card.pictures:
        if picture.role == "file" and files.get("file"):
            yield ui.File(f"attachment://{files['file']}", spoiler=picture.spoiler)
    for choice in card.choices:
        yield ui.ActionRow(_choice(choice))
    rows = [buttons for actions in card.rows if (buttons := [b for a in actions if (b := _button(a))])]
    if shown and rows:
        yield _separator()
    for buttons in rows:
        yield ui.ActionRow(*buttons[:BUTTONS_A_ROW])


def _separator() -> Item:
    return ui.Separator(spacing=discord.SeparatorSpacing.small)


def _blocks(card: c.Card, *, with_name: bool) -> Iterator[str]:
    heading = " · ".join(part for part in (card.title, card.name if with_name else "") if part)
    links = [a for actions in card.rows for a in actions if a.kind == "open_link" and len(a.url) > URL_MAX]
    yield _block(
        f"### {markup.escape(heading)}" if heading else "",
        markup.quote(markup.escape(cut(card.caption, CAPTION_MAX))),
        bar(card.bar, BAR_CELLS) if card.bar is not None else "",
        *map(_line, card.paragraphs),
        *map(_fact, card.facts),
        *([] if card.sections else _small(card)),
        *(markup.small(_span(c.Link(action.label, action.url))) for action in links),
    )
    for section in card.sections[:-1]:
        yield _section(section)
    if card.sections:
        yield _block(_section(card.sections[-1]), *_small(card))


def _section(section: c.Section) -> str:
    return _block(
        f"**{markup.escape(section.title)}**" if section.title else "",
        *map(_line, section.paragraphs),
        *map(_fact, section.facts),
        markup.quote(markup.escape(cut(section.quote, CAPTION_MAX))),
        f"```\n{section.code.replace('```', '')}\n```" if section.code else "",
    )


def _small(card: c.Card) -> list[str]:
    return [markup.small(_line(line)) for line in card.small]


def _block(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def _fact(fact: c.Fact) -> str:
    if fact.share is None:
        return f"**{_line(fact.label)}** {_line(fact.value)}"
    return f"**{_line(fact.label)}**\n{bar(fact.share, BAR_CELLS)} {_line(fact.value)}"


def _line(line: c.Line) -> str:
    return "".join(map(_span, line))


def _span(span: c.Span) -> str:
    match span:
        case str():
            return markup.escape(span)
        case c.Strong():
            return f"**{markup.escape(span.text)}**"
        case c.Code():
            return f"`{span.text.replace('`', markup.PRIME)}`"
        case c.Link():
            # Discord shows no link whose text is a URL; a bare URL can be copied, and is unfurled.
            return span.url if span.text == span.url else f"[{markup.escape(span.text)}]({span.url})"
        case c.Moment():
            return f"<t:{int(span.at_unix_s)}:{_MOMENTS[span.style]}>"
        case c.Mention():
            return _MENTIONS[span.kind].format(span.id) if span.id.isdigit() else markup.escape(span.name or span.id)
        case _:
            assert_never(span)


def _button(action: c.Action) -> Item | None:
    label = action.label[:LABEL_MAX]
    if action.kind == "open_link":
        return ui.Button(label=label, url=action.url) if len(action.url) <= URL_MAX else None
    return ui.Button(
        label=label,
        custom_id=f"up1:{action.kind}:{action.subject_id}:{action.argument}",
        style=_STYLES["plain" if action.confirmation else action.style],
        emoji=_EMOJI.get(action.kind),
    )


def _choice(choice: c.Choice) -> Item:
    options = [
        discord.SelectOption(
            label=cut(option.label, OPTION_MAX),
            value=option.value,
            description=cut(option.description, OPTION_MAX) or None,
        )
        for option in choice.options
    ]
    return ui.Select(
        custom_id=f"up1s:{choice.kind}:{choice.subject_id}",
        options=options,
        placeholder=choice.placeholder[:PLACEHOLDER_MAX],
        max_values=max(1, min(choice.most, len(options))),
    )
