"""Answers through a `response_url`: only the acting member sees them. Five uses within thirty minutes each.

bolt's `AsyncRespond` is not used: it opens a new connection each time and does not raise when Slack refuses.
"""

from __future__ import annotations

import aiohttp
import structlog

from adapters.slack.views.blocks import Content

log = structlog.get_logger(__name__)

TIMEOUT_S = 10.0


class Responses:
    """Sends ephemeral answers. Never raises for what Slack or the network does; says whether it worked."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(self, url: str, content: Content) -> bool:
        """True when Slack took it."""
        body = {"response_type": "ephemeral", "replace_original": False, **content.as_args()}
        return await self._post(url, body)

    async def replace(self, url: str, content: Content) -> bool:
        """Put `content` in place of the message whose button was pressed (also an ephemeral one)."""
        return await self._post(url, {"replace_original": True, **content.as_args()})

    async def _post(self, url: str, body: dict[str, object]) -> bool:
        try:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            async with self._session.post(url, json=body, timeout=timeout, allow_redirects=False) as answer:
                if answer.status == 200:
                    return True
                log.info("slack_response_url_refused", status=answer.status)
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            log.info("slack_response_url_broke", kind=type(error).__name__)
        return False
