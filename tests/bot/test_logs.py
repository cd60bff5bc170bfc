"""The format of log lines, and what they never contain."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from bot.observability.logs import configure, redact

SECRETS = {
    "a Discord token": "MTE4NjQ0MjM4NTk5MjM0NTY3OA.GabcDe.abcdefghijklmnopqrstuvwxyz0123456789AB",
    "a Slack bot token": "xoxb-1234567890-abcdefghij",
    "a Slack app token": "xapp-1-A012-345-abcdef",
    "a fal key": "01234567-89ab-cdef-0123-456789abcdef:0123456789abcdef0123456789abcdef",
    "a bearer token": "Bearer abcdefghijklmnop",
    "a signed link": "https://v3.fal.media/files/b/x.png?sig=abc",
    "a database address": "postgresql://user:hunter2@db/bot",
    "a picture": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg",
}


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level, logs = root.handlers[:], root.level, structlog.get_config()
    stream = io.StringIO()
    configure("debug", "json", ["the-secret-key"], stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    structlog.configure(**logs)


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_secrets_are_taken_out_of_any_text(secret: str) -> None:
    core = secret.partition("://")[2].partition("/")[2] or secret
    assert core not in redact(f"it was {secret} that failed")
    assert core not in str(redact({"deep": [{"er": (secret,)}]}))


def test_named_secrets_bytes_and_links_are_taken_out() -> None:
    shown = redact(
        {"token": "abc", "slack_bot_token": "x", "caption": "a cat", "data": b"1234", "url": "https://h/p?q"}
    )
    assert shown == {
        "token": "[removed]",
        "slack_bot_token": "[removed]",
        "caption": "[removed]",
        "data": "[4 bytes]",
        "url": "https://h/…",
    }


def test_harmless_values_stay(lines: io.StringIO) -> None:
    structlog.get_logger("core.x").info("job_started", job="0123456789ab", seconds=1.5, ok=True, seed=None)
    line = json.loads(lines.getvalue())
    assert (line["event"], line["job"], line["seconds"], line["ok"], line["seed"]) == (
        "job_started",
        "0123456789ab",
        1.5,
        True,
        None,
    )
    assert line["level"] == "info"


def test_libraries_lines_and_tracebacks_pass_the_same_gate(lines: io.StringIO) -> None:
    try:
        raise ValueError(f"refused the-secret-key at {SECRETS['a signed link']}")
    except ValueError:
        structlog.get_logger().exception("submit_failed")
        logging.getLogger("some.library").error("sent %s", SECRETS["a Slack bot token"])
    text = lines.getvalue()
    assert "submit_failed" in text
    assert "Traceback" in text
    for secret in ("the-secret-key", "sig=abc", "xoxb-"):
        assert secret not in text


def test_libraries_that_log_payloads_are_quiet(lines: io.StringIO) -> None:
    for name in ("slack_sdk.web.async_client", "aiohttp.access", "discord.http"):
        logging.getLogger(name).info("payload")
    assert lines.getvalue() == ""


def test_a_terminal_gets_readable_lines() -> None:
    stream, logs = io.StringIO(), structlog.get_config()
    configure("info", "pretty", (), stream)
    structlog.get_logger().info("hello", job="x", named="\x1b]0;title\x07\x9b2J")
    structlog.configure(**logs)
    assert "hello" in stream.getvalue()
    assert not {"{", "\x1b", "\x07", "\x9b"} & set(stream.getvalue()), "colours are for terminals, and ours alone"
