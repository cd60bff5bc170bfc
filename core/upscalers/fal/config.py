"""Configuration of the fal backend, and the addresses that it trusts."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from yarl import URL

from core.domain.models import MODELS, Models

BACKUP_HOSTS = {"queue.fal.run": "queue.falrun.com"}
"""fal's backup domain for the queue (fal-client 1.0.3, client.py, `_BACKUP_DOMAINS`)."""

Service = Literal["queue", "rest", "cdn", "api"]
_FILE_DOMAINS = ("fal.media", "fal.run", "falrun.com")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class FalConfig:
    """Keys, addresses and times. `key` is `id:secret` with API scope, `admin_key` one with admin scope, if any.

    retention_s: lifetime of uploaded and produced files at fal (lifecycle headers).
    start_timeout_s: fal drops a request that no runner has started by then.
    stream_idle_s: a status stream that is silent for so long is dead (fal sends a comment line every 15 s).
    outage_limit_s: how long `watch` retries while fal cannot be reached.
    models: those whose prices and bills are read.
    probe_s: interval of probes while the account is halted.
    """

    key: str = field(repr=False)
    admin_key: str | None = field(default=None, repr=False)
    queue_url: str = "https://queue.fal.run"
    rest_url: str = "https://rest.fal.ai"
    cdn_url: str = "https://v3.fal.media"
    api_url: str = "https://api.fal.ai/v1"
    models: Models = MODELS
    public_url: str | None = None
    retention_s: int = 7 * 86_400
    start_timeout_s: int = 6 * 3600
    stream_idle_s: float = 45.0
    outage_limit_s: float = 3600.0
    watch_limit_s: float = 86_400.0
    connect_timeout_s: float = 10.0
    reply_timeout_s: float = 60.0
    probe_s: float = 30.0

    @cached_property
    def bases(self) -> dict[Service, str]:
        return {"queue": self.queue_url, "rest": self.rest_url, "cdn": self.cdn_url, "api": self.api_url}

    @cached_property
    def key_origins(self) -> frozenset[str]:
        """The only origins to which a key may be sent: the configured queue, REST and platform API, and backups."""
        urls = [URL(address) for service, address in self.bases.items() if service != "cdn"]
        backups = [backup for url in urls if (backup := backup_of(url)) is not None]
        return frozenset(str(url.origin()) for url in urls + backups)

    @cached_property
    def _own_hosts(self) -> frozenset[tuple[str, str]]:
        """(scheme, host) of the configured addresses; if one is on loopback, under all names of loopback."""
        own = {(url.scheme, url.host or "") for url in map(URL, self.bases.values())}
        return frozenset(own | {(s, name) for s, host in own if host in _LOOPBACK for name in _LOOPBACK})

    def may_fetch_from(self, address: str) -> bool:
        """Whether the address is trusted for result files: fal's file hosts over https, or a configured host."""
        try:
            url = URL(address)
        except ValueError:
            return False
        if url.user is not None or url.password is not None or url.host is None:
            return False
        if any(url.host == domain or url.host.endswith("." + domain) for domain in _FILE_DOMAINS):
            return url.scheme == "https" and url.port == 443
        return (url.scheme, url.host) in self._own_hosts


def backup_of(url: URL) -> URL | None:
    host = BACKUP_HOSTS.get(url.host or "")
    return url.with_host(host) if host is not None and url.scheme == "https" else None
