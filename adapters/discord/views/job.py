"""A job's states as Discord messages (Components V2). Pure: facts in, a fresh layout out.

One container per message, so that it reads as a card: title, what is going on, the facts in small print, buttons.
"""

from __future__ import annotations

from discord import ui

from adapters.discord.views import markup

TEXT_MAX = 4000
WORKING, ASKING, DONE = 0x5865F2, 0xF0B232, 0x23A55A
TONES = {"error": 0xDA373C, "refusal": 0xF0B232, "info": 0x80848E}


def card(colour: int, *items: ui.Item[ui.LayoutView]) -> ui.LayoutView:
    """A message of one container. Built afresh for every edit, and never timing out (see `controls`)."""
    view = ui.LayoutView(timeout=None)
    view.add_item(ui.Container(*items, accent_colour=colour))
    # A view that has ended is sent as it is but kept nowhere: the library would otherwise hold every private answer
    # with buttons in memory for 15 minutes. Clicks need no kept view; see `controls`.
    view.stop()
    return view


def text(*lines: str) -> ui.TextDisplay[ui.LayoutView]:
    """One block of markup; empty lines are left out."""
    return ui.TextDisplay(markup.cut("\n".join(line for line in lines if line), TEXT_MAX))


def plain(words: str, *, colour: int = TONES["info"], title: str = "") -> ui.LayoutView:
    """A few plain sentences, already escaped where needed."""
    return card(colour, text(f"### {title}" if title else "", words))
