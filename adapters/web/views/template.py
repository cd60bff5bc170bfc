"""Fills the pages' HTML files with texts and data."""

import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from aiohttp import web

from adapters.web.connection.security import PAGE_POLICY, harden
from core.presentation import language_of
from core.presentation.texts.page_texts import page_texts

STATIC_DIR = Path(str(files("adapters.web.views"))) / "static"
_PLACEHOLDER = re.compile(r"\{\{([a-z_]+)\}\}")


class Template:
    """One HTML file. `{{names}}` are replaced by escaped texts, and `{{boot}}` by JSON that cannot end its element."""

    def __init__(self, name: str) -> None:
        self._text = (STATIC_DIR / name).read_text("utf-8")
        self._icons = (STATIC_DIR / "icons.html").read_text("utf-8")

    def respond(
        self, locale: str, boot: Mapping[str, Any] | None = None, *, status: int = 200, **facts: str
    ) -> web.Response:
        """The page with its labels and these facts, as an uncacheable response."""
        tag = language_of(locale).replace("_", "-")
        texts = {**page_texts(locale), **facts}

        def value(match: re.Match[str]) -> str:
            match match[1]:
                case "lang":
                    return tag
                case "boot":
                    data = {"locale": locale.replace("_", "-"), "texts": texts, **(boot or {})}
                    return json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
                case "icons":
                    return self._icons
                case name:
                    return html.escape(texts[name])

        text = _PLACEHOLDER.sub(value, self._text)
        headers = {"Cache-Control": "no-store"}
        response = web.Response(text=text, content_type="text/html", headers=headers, status=status)
        harden(response, PAGE_POLICY)
        return response
