"""HTTP to fal: sessions, protection of the key, retried reads, and request metrics.

It must not interpret a response, follow a redirect, or send a key anywhere but to the configured queue, REST and
platform addresses. fal-client is not used for HTTP: it repeats a submit up to ten times and sends the key to addresses
named in responses (fal-client 1.0.3, client.py; measured 2026-11-22).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, Literal, TypedDict, Unpack

import aiohttp
import fal_client
import structlog
from yarl import URL

from core.domain.errors import ProviderUnavailable
from core.net.retry import Backoff, retry
from core.ports import Clock, Metrics
from core.upscalers.fal.config import FalConfig, Service, backup_of
from core.upscalers.fal.json_answer import MAX_REPLY_BYTES, RETRY_AFTER_LIMIT_S, Answer, read_answer

log = structlog.get_logger(__name__)

KeyKind = Literal["api", "admin", "none"]

USER_AGENT = f"upscale-bot fal-client/{fal_client.__version__}"
READ_ATTEMPTS = 4
READ_PAUSES = Backoff(first_s=0.5, cap_s=10.0, asked_cap_s=RETRY_AFTER_LIMIT_S)
NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)
CONNECT_ERRORS = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


@dataclass
class SendTracker:
    """Records whether a request's bytes may have been sent, and awaits `before` just before that.

    If `before` raises, nothing is sent.
    """

    before: Callable[[], Awaitable[None]]
    started: bool = False
    failure: BaseException | None = None

    @staticmethod
    async def headers_sent(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
        """aiohttp (3.14, http_writer.write_headers) awaits this when connected and before it writes a byte."""
        sending: SendTracker = context.trace_request_ctx
        try:
            await sending.before()
        except BaseException as error:
            sending.failure = error
            raise
        sending.started = True


_BY_ENDING = (
    ("/storage/auth/token", "token"),
    ("/storage/upload/initiate", "initiate"),
    ("/files/upload", "upload"),
    ("/status/stream", "stream"),
    ("/status", "status"),
    ("/cancel", "cancel"),
    ("/models/pricing", "price"),
    ("/models/requests/by-endpoint", "find"),
    ("/models/billing-events", "billing_events"),
    ("/account/billing", "credit"),
    ("/payloads", "erase"),
    ("/.well-known/jwks.json", "webhook_keys"),
)


def call_name(method: str, url: URL) -> str:
    """Return a metric label for the call; never a part of the address itself."""
    path = url.path
    for ending, name in _BY_ENDING:
        if path.endswith(ending):
            return name
    if "/requests/" in path:
        return "result"
    return {"POST": "submit", "PUT": "store"}.get(method, "download")


def counting(metrics: Metrics) -> aiohttp.TraceConfig:
    """Make a trace that counts each request once, when its response starts or it fails."""

    async def ended(_s: aiohttp.ClientSession, _c: SimpleNamespace, p: aiohttp.TraceRequestEndParams) -> None:
        status = p.response.status
        metrics.provider_request(call_name(p.method, p.url), "ok" if status < 400 else f"http_{status}")

    async def failed(_s: aiohttp.ClientSession, _c: SimpleNamespace, p: aiohttp.TraceRequestExceptionParams) -> None:
        metrics.provider_request(call_name(p.method, p.url), "network")

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(ended)
    trace.on_request_exception.append(failed)
    return trace


def timeout_for(
    config: FalConfig, *, total_s: float | None = None, silence_s: float | None = None
) -> aiohttp.ClientTimeout:
    """Make connect, read and total timeouts, by default from the configuration."""
    return aiohttp.ClientTimeout(
        total=config.connect_timeout_s + 2 * config.reply_timeout_s if total_s is None else total_s,
        sock_connect=config.connect_timeout_s,
        sock_read=config.reply_timeout_s if silence_s is None else silence_s,
    )


class CallOptions(TypedDict, total=False):
    """Options of a request. `body` is sent as JSON; `max_bytes` limits the response; `sending` marks the paid call."""

    key: KeyKind
    headers: Mapping[str, str]
    body: Any
    data: Any
    timeout: aiohttp.ClientTimeout
    sending: SendTracker
    max_bytes: int


class _RetryableAnswer(Exception):
    """A response that should be retried: a 429, or a gateway's 5xx."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Transport:
    """HTTP sessions to fal. Call `open` inside the event loop that uses it, and `close` at the end."""

    session: aiohttp.ClientSession
    _paid_session: aiohttp.ClientSession

    def __init__(self, config: FalConfig, clock: Clock, metrics: Metrics | None = None) -> None:
        self.config = config
        self.clock = clock
        self._open: list[aiohttp.ClientSession] = []
        self._counting = [counting(metrics)] if metrics is not None else []

    async def open(self) -> None:
        """Create the sessions. The first has many connections, because each waiting job holds a stream.

        Each paid call uses a new connection: if the server closed a reused one at that moment, it would be unclear
        whether the request arrived.
        """
        self.session = self._make_session(aiohttp.TCPConnector(limit=10_000, keepalive_timeout=30))
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(SendTracker.headers_sent)
        self._paid_session = self._make_session(aiohttp.TCPConnector(limit=100, force_close=True), trace)

    def _make_session(self, connector: aiohttp.TCPConnector, *traces: aiohttp.TraceConfig) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": USER_AGENT},
            timeout=timeout_for(self.config),
            trace_configs=[*self._counting, *traces],
        )
        self._open.append(session)
        return session

    async def close(self) -> None:
        while self._open:
            await self._open.pop().close()

    def url(self, service: Service, path: str, params: Mapping[str, str] | None = None) -> URL:
        """Build an address from our own parts, never from a response."""
        url = URL(self.config.bases[service].rstrip("/") + path)
        return url.update_query(params) if params else url

    def authorised(self, url: URL, kind: KeyKind) -> dict[str, str]:
        """Return the Authorization header. Raises RuntimeError for an address to which no key may be sent."""
        if kind == "none":
            return {}
        if str(url.origin()) not in self.config.key_origins:
            raise RuntimeError("refusing to send the key to an address that is not configured")
        key = self.config.admin_key if kind == "admin" else self.config.key
        if not key:
            raise RuntimeError("no such key is configured")
        return {"Authorization": f"Key {key.strip()}"}

    async def once(self, method: str, url: URL, **options: Unpack[CallOptions]) -> Answer:
        """Send one request, without retry or redirect. Raises `NETWORK_ERRORS`."""
        every = {
            "Accept": "application/json",
            **self.authorised(url, options.get("key", "api")),
            **options.get("headers", {}),
        }
        sending, limit = options.get("sending"), options.get("timeout", timeout_for(self.config))
        session = self.session if sending is None else self._paid_session
        async with session.request(
            method, url, headers=every, json=options.get("body"), data=options.get("data"),
            allow_redirects=False, timeout=limit, trace_request_ctx=sending,
        ) as response:  # fmt: skip
            return await read_answer(response, options.get("max_bytes", MAX_REPLY_BYTES))

    async def read(
        self, method: str, url: URL, *, attempts: int = READ_ATTEMPTS, **options: Unpack[CallOptions]
    ) -> Answer:
        """Send a repeatable request; network errors, 429 and gateway 5xx are retried, up to `attempts` in all.

        Returns the last 429 or 5xx. Raises ProviderUnavailable if the last attempt got no response.
        """

        async def ask() -> Answer:
            answer = await self.once_or_backup(method, url, **options)
            if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.from_gateway():
                raise _RetryableAnswer(answer)
            return answer

        def pause(error: Exception, attempt: int) -> float | None:
            if isinstance(error, _RetryableAnswer):
                log.warning("fal_call_put_off", status=error.answer.status, host=url.host, attempt=attempt)
                return READ_PAUSES.pause_s(attempt, error.answer.retry_after_s(self.clock.now()))
            log.warning("fal_call_failed", kind=type(error).__name__, host=url.host, attempt=attempt)
            return READ_PAUSES.pause_s(attempt) if isinstance(error, NETWORK_ERRORS) else None

        try:
            return await retry(ask, clock=self.clock, pause=pause, attempts=attempts)
        except _RetryableAnswer as last:
            return last.answer
        except NETWORK_ERRORS as error:
            raise ProviderUnavailable from error

    async def once_or_backup(self, method: str, url: URL, **options: Unpack[CallOptions]) -> Answer:
        """Like `once`, but if no connection can be made, try fal's backup domain if there is one."""
        try:
            return await self.once(method, url, **options)
        except CONNECT_ERRORS:
            backup = backup_of(url)
            if backup is None:
                raise
            return await self.once(method, backup, **options)
