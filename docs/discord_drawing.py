"""Draws recorded messages the way Discord's desktop client lays them out, as a PNG by a headless Chromium.

For the documents, and for looking at what members see. Colours and sizes are measured by eye, not Discord's own files.
"""

import base64
import html
import re
import time
from pathlib import Path
from typing import Any

from tests.emulators.discord import components as kinds
from tests.emulators.discord.seen import SeenMessage
from tests.emulators.discord.world import Attachment, World

CSS = """
* { box-sizing: border-box; margin: 0; }
body { background: #313338; color: #dbdee1; font: 16px/1.375 "Noto Sans", "DejaVu Sans", Arial, sans-serif;
  width: 620px; padding: 16px 0; }
.message { display: flex; gap: 16px; padding: 6px 16px; }
.avatar { width: 40px; height: 40px; border-radius: 50%; flex: none; margin-top: 20px;
  background: linear-gradient(135deg, #5865f2, #23a55a); color: #fff; font-size: 20px;
  display: grid; place-items: center; }
.used { font-size: 13px; color: #b5bac1; margin-bottom: 3px; }
.used b { color: #c9cdfb; font-weight: 500; }
.name { font-weight: 600; color: #f2f3f5; }
.tag { background: #5865f2; color: #fff; font-size: 10px; font-weight: 600; border-radius: 3px; padding: 1px 4px;
  margin: 0 6px; }
.when { color: #949ba4; font-size: 12px; }
.body { flex: 1; min-width: 0; }
.container { margin-top: 4px; background: #2b2d31; border: 1px solid #3f4147; border-left: 4px solid var(--accent);
  border-radius: 8px; padding: 14px 16px; display: flex; flex-direction: column; gap: 8px; max-width: 540px; }
.container h3 { font-size: 18px; color: #f2f3f5; line-height: 1.3; margin-bottom: 2px; }
.text { overflow-wrap: anywhere; }
.text .line { min-height: 1.375em; }
small { display: block; font-size: 13px; color: #949ba4; line-height: 1.4; }
blockquote { border-left: 4px solid #4e5058; padding-left: 12px; margin: 3px 0; }
code { background: #1e1f22; border-radius: 4px; padding: 1px 4px; font: 14px "DejaVu Sans Mono", monospace; }
pre { background: #1e1f22; border: 1px solid #3f4147; border-radius: 4px; padding: 8px; white-space: pre-wrap;
  font: 14px "DejaVu Sans Mono", monospace; }
.time { background: #3c3e45; border-radius: 3px; padding: 0 3px; }
.mention { background: #3c4270; color: #c9cdfb; border-radius: 3px; padding: 0 2px; }
.gallery { display: grid; gap: 4px; } .gallery img { width: 100%; border-radius: 8px; display: block; }
.row { display: flex; gap: 8px; flex-wrap: wrap; }
.button { border-radius: 8px; padding: 5px 14px; font-size: 14px; font-weight: 500; color: #fff;
  background: #4e5058; }
.s1 { background: #5865f2; } .s3 { background: #248046; } .s4 { background: #da373c; } .s5::after { content: " ↗"; }
.select { background: #1e1f22; border-radius: 6px; padding: 9px 12px; flex: 1; color: #949ba4; }
.option { background: #1e1f22; padding: 7px 12px; border-radius: 6px; } .option i { display: block;
  font-style: normal; font-size: 13px; color: #949ba4; }
hr { border: 0; border-top: 1px solid #3f4147; width: 100%; }
.file { background: #232428; border: 1px solid #3f4147; border-radius: 8px; padding: 12px; color: #00a8fc; }
.private { color: #949ba4; font-size: 13px; margin-top: 4px; }
"""
ACCENT = 0x4E5058


def page(messages: list[SeenMessage], world: World, used: str = "") -> str:
    """A whole HTML page with these messages, oldest first. `used`: who used which command, above the first."""
    shown = "".join(_message(message, world, used if n == 0 else "") for n, message in enumerate(messages))
    return f"<!doctype html><meta charset=utf-8><style>{CSS}</style>{shown}"


def _message(message: SeenMessage, world: World, used: str) -> str:
    head = f'<div class="used">↱ {used}</div>' if used else ""
    private = '<div class="private">👁 Only you can see this</div>' if message.ephemeral else ""
    inner = "".join(_component(c, world) for c in message.components)
    name = '<span class="name">Upscale</span><span class="tag">✓ APP</span><span class="when">Today at 14:05</span>'
    return (
        f'<div class="message"><div class="avatar">⤢</div><div class="body">{head}<div>{name}</div>'
        f"{inner}{private}</div></div>"
    )


def _component(c: dict[str, Any], world: World) -> str:
    kind = c["type"]
    inside = "".join(_component(child, world) for child in c.get("components") or [])
    if kind == kinds.CONTAINER:
        return f'<div class="container" style="--accent: #{c.get("accent_color") or ACCENT:06x}">{inside}</div>'
    if kind == kinds.ROW:
        return f'<div class="row">{inside}</div>'
    if kind == kinds.TEXT:
        return f'<div class="text">{markdown(c["content"])}</div>'
    if kind == kinds.GALLERY:
        return f'<div class="gallery">{"".join(_image(item["media"], world) for item in c["items"])}</div>'
    if kind == kinds.BUTTON:
        emoji = (c.get("emoji") or {}).get("name") or ""
        label = html.escape(c.get("label") or "")
        return f'<span class="button s{c["style"]}">{emoji} {label}</span>'
    if kind == kinds.FILE:
        attachment = _attachment(c["file"], world)
        return f'<div class="file">📄 {html.escape(attachment.filename if attachment else "")}</div>'
    if kind == kinds.SEPARATOR:
        return "<hr>"
    if kind in kinds.SELECTS:
        return _select(c)
    return inside


def _select(c: dict[str, Any]) -> str:
    options = "".join(
        f'<div class="option">{html.escape(o["label"])}<i>{html.escape(o.get("description") or "")}</i></div>'
        for o in c.get("options", [])
    )
    return f'<div style="flex:1"><div class="select">{html.escape(c.get("placeholder") or "")} ▾</div>{options}</div>'


def _attachment(media: dict[str, Any], world: World) -> Attachment | None:
    return world.attachments.get(int(media.get("attachment_id") or 0))


def _image(media: dict[str, Any], world: World) -> str:
    attachment = _attachment(media, world)
    if attachment is None:
        return ""
    data = base64.b64encode(attachment.path.read_bytes()).decode()
    return f'<img src="data:{attachment.content_type};base64,{data}">'


def markdown(text: str) -> str:
    """The part of Discord's markup that a bot's cards use, as HTML; a backslash makes the next sign plain."""
    blocks: list[str] = []
    parts = re.split(r"```\n?(.*?)```", text, flags=re.DOTALL)
    for index, part in enumerate(parts):
        if index % 2:
            blocks.append(f"<pre>{html.escape(part.strip())}</pre>")
        elif part.strip():
            blocks.append(_lines(part.strip("\n")))
    return "".join(blocks)


def _lines(text: str) -> str:
    out = []
    for line in text.split("\n"):
        if line.startswith("### "):
            out.append(f"<h3>{_inline(line[4:])}</h3>")
        elif line.startswith("-# "):
            out.append(f"<small>{_inline(line[3:])}</small>")
        elif line.startswith("> "):
            out.append(f"<blockquote>{_inline(line[2:])}</blockquote>")
        else:
            out.append(f'<div class="line">{_inline(line)}</div>')
    return "".join(out)


def _inline(text: str) -> str:
    kept: list[str] = []

    def keep(piece: str) -> str:
        kept.append(piece)
        return f"\x00{len(kept) - 1}\x00"

    text = re.sub(r"`([^`]+)`", lambda m: keep(f"<code>{html.escape(m[1])}</code>"), text)
    text = re.sub(r"\\(\W|_)", lambda m: keep(html.escape(m[1])), text)
    text = re.sub(r"<t:(\d+):(\w)>", lambda m: keep(f'<span class="time">{_when(int(m[1]), m[2])}</span>'), text)
    text = re.sub(r"<@[!&]?(\d+)>", lambda _: keep('<span class="mention">@alice</span>'), text)
    text = re.sub(r"<#(\d+)>", lambda _: keep('<span class="mention"># general</span>'), text)
    text = html.escape(text)
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
    return re.sub(r"\x00(\d+)\x00", lambda m: kept[int(m[1])], text)


def _when(unix_s: int, style: str) -> str:
    if style != "R":
        return time.strftime("%d %B %Y %H:%M", time.gmtime(unix_s))
    left = round(unix_s - time.time())
    unit, size = ("seconds", 1) if abs(left) < 90 else ("minutes", 60) if abs(left) < 5400 else ("hours", 3600)
    return f"in {left // size} {unit}" if left >= 0 else f"{-left // size} {unit} ago"


async def draw(page_html: str, target: Path) -> None:
    """Take the picture. Needs Playwright's Python package and a Chromium at /usr/bin/chromium."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        view = await browser.new_page(viewport={"width": 620, "height": 100}, device_scale_factor=2)
        await view.set_content(page_html)
        await view.screenshot(path=target, full_page=True)
        await browser.close()
