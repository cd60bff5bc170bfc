"""Texts and numbers that a database, JSON or a parser may stumble over, in every place of the page's API."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp

from tests.attacks.scene import TOKEN, Attack, Scene
from tests.bot.process_kit import Bot

TEXTS = (
    "\x00", "a\x00b", "\ud800", "\udfff\ud83d", "\U0001f600", "\u0663", "\u00b2x", "\uff12x", "1e400", "-0",
    "NaN", "-inf", "1_0", "0x10", "9" * 5_000, "\u202e\u2066", "../../etc/passwd", "%00", "{0.__class__}",
    "x" * 9_000, "'; DROP TABLE jobs;--",
)  # fmt: skip
NUMBERS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "-1e400",
    "-0",
    "-0.0",
    "1e-400",
    "9" * 4_000,
    "1" + "0" * 400,
    "1E+5",
)
_FIELDS = ("text", "url", "factor", "creativity", "seed", "steps", "model", "preset", "to", "agreed_usd",
           "width", "height", "change", "id", "amount", "scope", "until", "reason", "period")  # fmt: skip
_POSTS = ("/api/jobs", "/api/estimate", "/api/limits", "/api/pause", "/api/jobs/{}/repeat", "/api/operator/places/{}")
_GETS = ("/api/jobs/{}", "/api/jobs/{}/events", "/api/jobs/{}/result", "/api/jobs/{}/tile?level={}&x={}&y={}",
         "/api/events?jobs={}", "/api/zip?jobs={}", "/api/usage?period={}", "/api/history?before={}", "/api/queue?x={}",
         "/api/estimate?text={}&width={}&height={}", "/files/{}/{}?sig={}", "/share/{}/{}", "/static/{}",
         "/slack/oauth_redirect?state={}&code={}")  # fmt: skip
_ACTS = ("/api/jobs/{}/confirm", "/api/jobs/{}/cancel", "/api/jobs/{}/share")

Request = tuple[str, str, dict[str, Any]]


def requests() -> Iterator[Request]:
    """Method, path, and what goes to aiohttp's client."""
    for text in TEXTS:
        word = quote(text[:3_000].encode("utf-8", "surrogatepass"), safe="")
        for path in _GETS:
            yield "GET", path.replace("{}", word), {}
        for path in _ACTS:
            yield "POST", path.replace("{}", word), {}
        yield "DELETE", f"/api/jobs/{word}", {}
        for path in _POSTS:
            where = path.replace("{}", word)
            every = dict.fromkeys(_FIELDS, text) | {text: text}
            yield "POST", where, as_json(json.dumps(every))
            for field in _FIELDS:
                yield "POST", where, as_json(json.dumps({"text": "2x", "url": "http://127.0.0.1/", field: text}))
        yield "PUT", "/api/defaults", as_json(json.dumps({"text": text, text: text, "name": text}))
        form = urlencode({"text": text, "url": text}, errors="surrogatepass")
        yield "POST", "/api/jobs", {"data": form, "headers": {"Content-Type": "application/x-www-form-urlencoded"}}
        yield "POST", "/api/jobs", _multipart(text)
    for number, path, field in itertools.product(NUMBERS, (*_POSTS, "/api/defaults"), (*_FIELDS, "any")):
        method = "PUT" if path.endswith("defaults") else "POST"
        yield method, path.replace("{}", "x"), as_json(f'{{"url": "http://127.0.0.1/", "{field}": {number}}}')


def as_json(text: str) -> dict[str, Any]:
    return {"data": text.encode(), "headers": {"Content-Type": "application/json"}}


def _multipart(text: str) -> dict[str, Any]:
    raw = text.encode("utf-8", "surrogatepass")
    parts = (b'name="text"', b'name="%s"' % raw, b'name="image"; filename="%s"' % raw)
    body = b"".join(b"--b\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (part, raw) for part in parts)
    return {"data": body + b"--b--\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}


async def everywhere(bot: Bot, web: aiohttp.ClientSession, step: int) -> str:
    """Every `step`-th of them, signed in."""
    found: Counter[int] = Counter()
    for method, path, how in itertools.islice(requests(), 0, None, step):
        headers = {"Authorization": f"Bearer {TOKEN}"} | how.pop("headers", {})
        url = f"http://127.0.0.1:{bot.port}{path}"
        async with web.request(method, url, headers=headers, allow_redirects=False, **how) as answer:
            found[answer.status] += 1
            assert answer.status < 500, (method, path[:80], str(how)[:200], await answer.text())
    return ", ".join(f"{count} × {status}" for status, count in sorted(found.items()))


async def in_the_api(scene: Scene, size: int) -> str:
    return await everywhere(scene.bot, scene.web, size)


ATTACKS = (Attack("odd characters and numbers everywhere in the page's API", in_the_api, 1, 0, leaves_jobs=True),)
