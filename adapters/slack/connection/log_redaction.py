"""The SDK's client, and loggers for it that pass warnings without links, tokens, bodies and stack traces."""

import logging
import re

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

_SECRETS = re.compile(r"(?:https?|wss?)://\S+|xox[a-z.]{0,8}-[\w.-]+|xapp-[\w-]+|ticket=\S+")
_BODIES = ("body:", "payload:", "params:", "data:", "response:", "equest (", "Suggestion")
MAX_CHARS = 300


class _Redact(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        for mark in _BODIES:
            message = message.split(mark)[0]
        record.msg = _SECRETS.sub("<hidden>", message)[:MAX_CHARS]
        record.args, record.exc_info, record.exc_text, record.stack_info = (), None, None, None
        return True


def sdk_logger(name: str) -> logging.Logger:
    """A logger for slack-bolt or slack-sdk. Filters do not apply to child loggers, so each logger gets its own."""
    logger = logging.getLogger(f"adapters.slack.sdk.{name}")
    logger.setLevel(logging.WARNING)
    if not any(isinstance(f, _Redact) for f in logger.filters):
        logger.addFilter(_Redact())
    return logger


def web_client(session: aiohttp.ClientSession | None, base_url: str, token: str = "") -> AsyncWebClient:
    """The SDK's client on a shared session, without the SDK's retries, which would post twice."""
    logger = sdk_logger("web")
    return AsyncWebClient(token=token or None, base_url=base_url, session=session, retry_handlers=[], logger=logger)
