"""The pages' HTML files, filled in with sentences and facts."""

from __future__ import annotations

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

STATIC_DIR = Path(str(files("adapters.web.views"))) / "static"
_PLACEHOLDER = re.compile(r"\{\{([a-z_]+)\}\}")


class Template:
    """One page. `{{names}}` are replaced: texts escaped, `boot` by JSON that cannot end its element."""

    def __init__(self, name: str) -> None:
        self._text = (STATIC_DIR / name).read_text("utf-8")
        self._icons = (STATIC_DIR / "icons.html").read_text("utf-8")

    def respond(self, texts: Mapping[str, str], locale: str, boot: Mapping[str, Any] | None = None) -> web.Response:
        """The filled page as an answer that no cache keeps."""

        def value(match: re.Match[str]) -> str:
            match match[1]:
                case "lang":
                    return language_of(locale).replace("_", "-")
                case "boot":
                    return json.dumps(boot, ensure_ascii=False).replace("<", "\\u003c")
                case "icons":
                    return self._icons
                case name:
                    return html.escape(texts[name])

        text = _PLACEHOLDER.sub(value, self._text)
        response = web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})
        harden(response, PAGE_POLICY)
        return response
