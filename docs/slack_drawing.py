"""Draws recorded messages, forms and the Home tab about as Slack shows them, as HTML. For the documents' pictures.

It shows what Block Kit says, in Slack's usual measures; it is no copy of Slack's client and judges nothing.
"""

import base64
import datetime
import html
from typing import Any

from tests.emulators.slack.server import SlackEmulator
from tests.emulators.slack.world import Message, View

EMOJI = {"warning": "⚠️", "raised_hand": "✋", "information_source": "ℹ️"}
STYLE = """
*{box-sizing:border-box} body{margin:0;background:#fff;color:#1d1c1d;font:15px/1.46668 Lato,"Noto Sans","DejaVu Sans",
sans-serif} .app{width:760px;padding:0 0 14px} .bar{display:flex;align-items:center;height:49px;padding:0 20px;
border-bottom:1px solid #e8e8e8;font-weight:900;font-size:18px} .msg{display:flex;gap:8px;padding:8px 20px}
.thread{margin-left:44px;border-left:2px solid #e8e8e8} .pic{width:36px;height:36px;border-radius:8px;flex:none;
display:flex;align-items:center;justify-content:center;color:#fff;font-weight:700} .body{min-width:0;flex:1}
.who{font-weight:900} .app-tag{font-size:10px;background:#e8e8e8;color:#616061;border-radius:2px;padding:1px 3px;
margin-left:4px;vertical-align:1px} .when{font-size:12px;color:#616061;margin-left:8px;font-weight:400}
.only{font-size:12px;color:#616061} .b{margin:4px 0} .ctx{font-size:13px;color:#616061;
line-height:1.4;white-space:pre-line}
.row{display:flex;flex-wrap:wrap;gap:8px;margin:8px 0} .btn{border:1px solid #bbb;border-radius:8px;font-weight:700;
font-size:13px;padding:0 12px 1px;height:28px;line-height:26px;background:#fff;white-space:nowrap}
.primary{background:#007a5a;border-color:#007a5a;color:#fff} .danger{border-color:#e01e5a;color:#e01e5a}
.quote{border-left:4px solid #ddd;padding-left:12px;margin:6px 0} code{background:#f6f6f6;border:1px solid #e0e0e0;
border-radius:3px;color:#c01343;font:12px "DejaVu Sans Mono",monospace;padding:1px 3px} .img{max-width:480px;
max-height:360px;border-radius:8px;display:block;margin:4px 0;box-shadow:0 0 0 1px #0001} .cap{font-size:13px;
color:#616061} h3{font-size:18px;font-weight:900;margin:10px 0 4px} hr{border:0;border-top:1px solid #e8e8e8;
margin:14px 0} .sec{display:flex;justify-content:space-between;gap:16px;align-items:center;margin:6px 0}
.task{display:flex;gap:8px;align-items:center;margin:3px 0} .dot{width:16px;height:16px;border-radius:50%;flex:none;
font-size:11px;line-height:16px;text-align:center;color:#fff;background:#007a5a} .dot.in_progress{background:#fff;
border:2px solid #1264a3;border-right-color:transparent} .dot.error{background:#e01e5a} .out{color:#616061;
font-size:13px;margin-left:24px} .modal{width:520px;margin:16px auto;border-radius:12px;box-shadow:0 0 0 1px #0002,
0 12px 40px #0003;overflow:hidden} .mh{font-weight:900;font-size:22px;padding:18px 24px;border-bottom:1px solid #eee}
.mb{padding:14px 24px} .mf{display:flex;justify-content:flex-end;gap:10px;padding:14px 24px;border-top:1px solid #eee}
.mf .btn{height:36px;line-height:34px;font-size:15px} .lab{font-weight:700;margin:12px 0 4px} .opt{font-weight:400;
color:#616061} .in{border:1px solid #bbb;border-radius:8px;padding:7px 12px;color:#868686;display:flex;
justify-content:space-between} .hint{font-size:13px;color:#616061;margin-top:4px} .drop{border:1px dashed #bbb;
border-radius:8px;padding:14px;text-align:center;color:#616061} .grid{display:grid;grid-template-columns:1fr 1fr;
gap:0 16px} .box{display:inline-block;width:14px;height:14px;border:1px solid #868686;border-radius:3px;
margin-right:8px;vertical-align:-2px}
"""


class Drawer:
    """HTML for what one member sees."""

    def __init__(self, slack: SlackEmulator) -> None:
        self._slack = slack

    def page(self, title: str, inner: str) -> str:
        bar = f'<div class="bar">{html.escape(title)}</div>' if title else ""
        return f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style><div class="app">{bar}{inner}</div>'

    def conversation(self, title: str, messages: list[Message]) -> str:
        return self.page(title, "".join(self.message(m) for m in messages))

    def message(self, message: Message) -> str:
        space = next(s for s in self._slack.world.workspaces.values() if message.channel in s.channels)
        user = space.users[message.user]
        name = "Upscale" if message.bot else user.name.title()
        colour = "#4a154b" if message.bot else "#2b6cb0"
        tag = '<span class="app-tag">APP</span>' if message.bot else ""
        when = datetime.datetime.fromtimestamp(float(message.ts), datetime.UTC).strftime("%H:%M")
        only = '<div class="only">👁 Only visible to you</div>' if message.ephemeral_for else ""
        inner = only + self._content(message, space.bot_user_id)
        thread = " thread" if message.thread_ts else ""
        return (
            f'<div class="msg{thread}"><div class="pic" style="background:{colour}">{"⇱" if message.bot else name[0]}'
            f'</div><div class="body"><span class="who">{html.escape(name)}</span>{tag}<span class="when">{when}</span>'
            f"{inner}</div></div>"
        )

    def _content(self, message: Message, bot_user: str) -> str:
        if message.stream:
            return self._tasks(message)
        if message.blocks:
            return self.blocks(message.blocks)
        text = html.escape(message.text).replace(html.escape(f"<@{bot_user}>"), '<b style="color:#1264a3">@Upscale</b>')
        return f'<div class="b">{text}</div>' + "".join(self._picture(f) for f in message.files)

    def _tasks(self, message: Message) -> str:
        assert message.stream
        rows = []
        for name in message.stream.order:
            task = message.stream.tasks[name]
            mark = {"complete": "✓", "error": "!"}.get(task["status"], "")
            rows.append(
                f'<div class="task"><span class="dot {task["status"]}">{mark}</span>{html.escape(task["title"])}</div>'
            )
            if task.get("output"):
                rows.append(f'<div class="out">{html.escape(task["output"])}</div>')
        return "".join(rows)

    def _picture(self, file_id: str, title: str = "") -> str:
        file = self._slack.world.files[file_id]
        data = base64.b64encode(file.data).decode()
        shown = html.escape(title or file.name)
        return f'<div class="cap">{shown} ▾</div><img class="img" src="data:{file.mimetype};base64,{data}">'

    def blocks(self, blocks: list[dict[str, Any]]) -> str:
        return "".join(self._block(block) for block in blocks)

    def _block(self, block: dict[str, Any]) -> str:
        kind = block["type"]
        if kind == "header":
            return f"<h3>{html.escape(block['text']['text'])}</h3>"
        if kind == "divider":
            return "<hr>"
        if kind == "image":
            return self._picture(block["slack_file"]["id"], block.get("title", {}).get("text", ""))
        if kind == "context":
            return f'<div class="b ctx">{"".join(html.escape(e["text"]) for e in block["elements"])}</div>'
        if kind == "actions":
            return f'<div class="row">{"".join(self._button(e) for e in block["elements"])}</div>'
        if kind == "section":
            button = self._button(block["accessory"]) if "accessory" in block else ""
            return f'<div class="sec"><span>{html.escape(block["text"]["text"])}</span>{button}</div>'
        if kind == "rich_text":
            return "".join(self._rich(part) for part in block["elements"])
        if kind == "input":
            return self._input(block)
        return f"<div>{kind}</div>"

    @staticmethod
    def _button(element: dict[str, Any]) -> str:
        return f'<span class="btn {element.get("style", "")}">{html.escape(element["text"]["text"])}</span>'

    def _rich(self, part: dict[str, Any]) -> str:
        inner = "".join(self._run(e) for e in part["elements"])
        name = "quote" if part["type"] == "rich_text_quote" else "b"
        return f'<div class="{name}">{inner}</div>'

    @staticmethod
    def _run(element: dict[str, Any]) -> str:
        kind = element["type"]
        if kind == "emoji":
            return EMOJI.get(element["name"], "🙂")
        if kind == "date":
            pattern = "%H:%M:%S" if "secs" in element["format"] else "%H:%M"
            return datetime.datetime.fromtimestamp(element["timestamp"], datetime.UTC).strftime(pattern)
        text = html.escape(element.get("text", "")).replace("\n", "<br>")
        style = element.get("style", {})
        if style.get("code"):
            return f"<code>{text}</code>"
        return f"<b>{text}</b>" if style.get("bold") else text

    def modal(self, view: View) -> str:
        body = view.body
        submit = f'<span class="btn primary">{html.escape(body["submit"]["text"])}</span>' if "submit" in body else ""
        close = f'<span class="btn">{html.escape(body["close"]["text"])}</span>'
        inner = self.blocks(body["blocks"])
        title = html.escape(body["title"]["text"])
        foot = f'<div class="mf">{close}{submit}</div>'
        return self.page(
            "", f'<div class="modal"><div class="mh">{title}</div><div class="mb">{inner}</div>{foot}</div>'
        )

    def home(self, view: View) -> str:
        return self.page("Upscale · Home", f'<div style="padding:8px 28px">{self.blocks(view.body["blocks"])}</div>')

    def _input(self, block: dict[str, Any]) -> str:
        element = block["element"]
        optional = ' <span class="opt">(optional)</span>' if block.get("optional") else ""
        label = f'<div class="lab">{html.escape(block["label"]["text"])}{optional}</div>'
        hint = f'<div class="hint">{html.escape(block["hint"]["text"])}</div>' if "hint" in block else ""
        shown = html.escape(element.get("initial_value") or element.get("placeholder", {}).get("text", ""))
        kind = element["type"]
        if kind == "file_input":
            field = '<div class="drop">+ Add files</div>'
        elif kind == "checkboxes":
            options = (html.escape(o["text"]["text"]) for o in element["options"])
            field = "".join(f'<div><span class="box"></span>{o}</div>' for o in options)
        else:
            field = f'<div class="in"><span>{shown or "&nbsp;"}</span>{"⌄" if kind == "static_select" else ""}</div>'
        return label + field + hint
