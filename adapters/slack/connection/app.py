"""Build bolt's AsyncApp: authorisation, listeners, error handler; and the HTTP endpoint that verifies signatures."""

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.async_context import AsyncBoltContext
from slack_bolt.error import BoltUnhandledRequestError
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.connection.drain_middleware import DrainMiddleware
from adapters.slack.connection.log_redaction import sdk_logger
from adapters.slack.context import HandlerContext
from adapters.slack.inbound.commands import Commands
from adapters.slack.inbound.messages import Events, NotStored
from adapters.slack.inbound.translate import Origin
from adapters.slack.settings import secret
from core.presentation.texts.operator_texts import installation_text

log = structlog.get_logger(__name__)

EVENTS_PATH = "/slack/events"
MAX_BODY_BYTES = 1_000_000
MALFORMED = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""What bolt and our own code raise for a malformed payload."""


def build(ctx: HandlerContext, client: AsyncWebClient, drain: DrainMiddleware) -> AsyncApp:
    async def authorize(enterprise_id: str | None, team_id: str | None, user_id: str | None) -> AuthorizeResult | None:
        """From memory if possible: neither the database nor `auth.test` should delay an acknowledgement."""
        at = team_id or "", enterprise_id or ""
        install = ctx.installs.cached(*at) or await ctx.installs.find(*at)
        if install is None:
            return None
        return AuthorizeResult(
            enterprise_id=install.enterprise_id or enterprise_id,
            team_id=team_id or install.team_id,
            bot_user_id=install.bot_user_id,
            bot_token=install.bot_token,
        )

    with _environment_hidden():
        app = AsyncApp(
            name="upscale",
            logger=sdk_logger("bolt"),
            client=client,
            signing_secret=secret(ctx.settings.slack_signing_secret) or None,
            authorize=authorize,  # type: ignore[arg-type]
            before_authorize=drain.__call__,
            attaching_function_token_enabled=False,
            user_facing_authorize_error_message=installation_text("missing", "en", ctx.settings.slack_command),
            process_before_response=True,
            raise_error_for_unhandled_request=True,
        )
    Commands(ctx).register(app)
    Events(ctx).register(app)
    app.error(_last_resort(ctx))
    return app


@contextlib.contextmanager
def _environment_hidden() -> Iterator[None]:
    """Hide SLACK_* from bolt: given a client id there, it would run its own OAuth with tokens in plain files."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SLACK_")}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _last_resort(ctx: HandlerContext) -> Callable[..., Awaitable[BoltResponse]]:
    async def last_resort(error: Exception, body: dict[str, Any], context: AsyncBoltContext) -> BoltResponse:
        """Acknowledge for a listener that raised, so that the member sees our answer and not Slack's timeout.

        NotStored is answered with 503, so that Slack redelivers the event. What no listener takes is acknowledged.
        """
        if isinstance(error, (NotStored, BoltUnhandledRequestError)):
            return BoltResponse(status=503 if isinstance(error, NotStored) else 200, body="")
        try:
            origin = ctx.origin(body, context)
        except MALFORMED:
            origin = Origin("", "")
        if origin.user_id:
            ctx.tasks.spawn("last_resort", ctx.answer_refusal(origin, error, ctx.locale(origin)))
        else:
            await ctx.to_domain_error(error)
        return BoltResponse(status=200, body="")

    return last_resort


class HttpEndpoint:
    """`POST /slack/events`: commands, interactions and events, with verified signatures."""

    def __init__(self, signing_secret: str) -> None:
        self.app: AsyncApp | None = None
        self._verifier = SignatureVerifier(signing_secret) if signing_secret else None

    async def handle(self, request: web.Request) -> web.Response:
        """Check the signature over the raw body (five-minute window) before bolt parses anything."""
        if (request.content_length or 0) > MAX_BODY_BYTES:
            return web.Response(status=413, text="too large")
        body = await request.read()
        if not self._is_signed(request, body):
            return web.Response(status=401, text="unsigned")
        if self.app is None:
            return web.Response(status=503, text="starting")
        try:
            received = AsyncBoltRequest(
                body=body.decode(), query=request.query_string, headers=dict(request.headers.items())
            )
            return await to_aiohttp_response(await self.app.async_dispatch(received))
        except MALFORMED as error:  # raised by bolt itself: errors of our listeners end in the last resort
            log.warning("slack_request_unreadable", kind=type(error).__name__)
            return web.Response(status=400, text="unreadable")

    def _is_signed(self, request: web.Request, body: bytes) -> bool:
        stamp = request.headers.get("X-Slack-Request-Timestamp", "")
        signature = request.headers.get("X-Slack-Signature", "")
        if self._verifier is None or not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
            return False
        try:
            return signature.isascii() and self._verifier.is_valid(body, stamp, signature)
        except UnicodeError:  # the verifier decodes the body as UTF-8
            return False
