"""HTTP to fal: sessions, the guard around the key, retried reads, and a count of every request for the metrics.

It must not decide what an answer means for a job, follow a redirect, or send a key anywhere but to the configured
queue, REST and platform addresses. fal-client is not used for HTTP: its calls repeat a submit up to ten times and
send the key to addresses named in replies (fal-client 1.0.3, client.py; measured 2026-11-22).
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
class Sending:
    """Knows whether a request's bytes may have left, and runs `before` just before they can.

    Whatever that raises stops the request with nothing sent.
    """

    before: Callable[[], Awaitable[None]]
    started: bool = False
    failure: BaseException | None = None

    @staticmethod
    async def headers_sent(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
        """aiohttp (3.14, http_writer.write_headers) awaits this with the connection made and not a byte written."""
        sending: Sending = context.trace_request_ctx
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
    """Which call an address is, in a handful of words; never anything of the address itself."""
    path = url.path
    for ending, name in _BY_ENDING:
        if path.endswith(ending):
            return name
    if "/requests/" in path:
        return "result"
    return {"POST": "submit", "PUT": "store"}.get(method, "download")


def counting(metrics: Metrics) -> aiohttp.TraceConfig:
    """A trace that reports each request once, when its answer begins or its failure is known."""

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
    """Connect and silence limits, by default from the configuration, and a total that no ordinary call reaches."""
    return aiohttp.ClientTimeout(
        total=config.connect_timeout_s + 2 * config.reply_timeout_s if total_s is None else total_s,
        sock_connect=config.connect_timeout_s,
        sock_read=config.reply_timeout_s if silence_s is None else silence_s,
    )


class CallOptions(TypedDict, total=False):
    """What a request may say beside its address (key, headers, JSON or other data), how long it may take, and how much
    is read of its answer. With `sending` it is the paid call.
    """

    key: KeyKind
    headers: Mapping[str, str]
    body: Any
    data: Any
    timeout: aiohttp.ClientTimeout
    sending: Sending
    max_bytes: int


class _AskAgain(Exception):
    """An answer that asks, or whose sender needs, to be asked again: a 429, a gateway's page."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Transport:
    """Open sessions to fal. `open` inside the event loop that uses it, `close` at the end."""

    session: aiohttp.ClientSession
    _paid_session: aiohttp.ClientSession

    def __init__(self, config: FalConfig, clock: Clock, metrics: Metrics | None = None) -> None:
        self.config = config
        self.clock = clock
        self._open: list[aiohttp.ClientSession] = []
        self._counting = [counting(metrics)] if metrics is not None else []

    async def open(self) -> None:
        """Make the sessions. Streams of waiting jobs share the first, so its connections are many.

        Paid calls have their own, with a fresh connection for each: a kept one that the server closes just then
        would leave it unclear whether the request arrived.
        """
        self.session = self._make_session(aiohttp.TCPConnector(limit=10_000, keepalive_timeout=30))
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(Sending.headers_sent)
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
        """Close what `open` made; nothing where a start failed before it."""
        while self._open:
            await self._open.pop().close()

    def url(self, service: Service, path: str, params: Mapping[str, str] | None = None) -> URL:
        """An address of ours, from parts that we made; never from a reply."""
        url = URL(self.config.bases[service].rstrip("/") + path)
        return url.update_query(params) if params else url

    def authorised(self, url: URL, kind: KeyKind) -> dict[str, str]:
        """The Authorization header for this address. Raises RuntimeError for any address that may not see a key."""
        if kind == "none":
            return {}
        if str(url.origin()) not in self.config.key_origins:
            raise RuntimeError("refusing to send the key to an address that is not configured")
        key = self.config.admin_key if kind == "admin" else self.config.key
        if not key:
            raise RuntimeError("no such key is configured")
        return {"Authorization": f"Key {key.strip()}"}

    async def once(self, method: str, url: URL, **options: Unpack[CallOptions]) -> Answer:
        """One request, one answer; no retry, no redirect. Raises `NETWORK_ERRORS`."""
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
        """A repeatable request: network errors, 429 and gateway 5xx are tried again, up to `attempts` in all.

        The last 429 or 5xx is returned; raises ProviderUnavailable when no answer came at all.
        """

        async def ask() -> Answer:
            answer = await self.once_or_backup(method, url, **options)
            if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.from_gateway():
                raise _AskAgain(answer)
            return answer

        def pause(error: Exception, attempt: int) -> float | None:
            if isinstance(error, _AskAgain):
                log.warning("fal_call_put_off", status=error.answer.status, host=url.host, attempt=attempt)
                return READ_PAUSES.pause_s(attempt, error.answer.retry_after_s(self.clock.now()))
            log.warning("fal_call_failed", kind=type(error).__name__, host=url.host, attempt=attempt)
            return READ_PAUSES.pause_s(attempt) if isinstance(error, NETWORK_ERRORS) else None

        try:
            return await retry(ask, clock=self.clock, pause=pause, attempts=attempts)
        except _AskAgain as last:
            return last.answer
        except NETWORK_ERRORS as error:
            raise ProviderUnavailable from error

    async def once_or_backup(self, method: str, url: URL, **options: Unpack[CallOptions]) -> Answer:
        """`once`, and where no connection comes about, once more on fal's backup domain if there is one."""
        try:
            return await self.once(method, url, **options)
        except CONNECT_ERRORS:
            backup = backup_of(url)
            if backup is None:
                raise
            return await self.once(method, backup, **options)
