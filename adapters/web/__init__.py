"""The local page and its HTTP API: the embedded default that needs no account anywhere.

A translator like every other adapter: requests in, one call to the service, JSON, a file or an event stream out.
It decides nothing about parameters, pictures or prices.

Deadlines and limits of this platform, with their sources:

- A browser opens at most 6 connections to one host over HTTP/1.1 (Chromium's and Firefox's default, read 2026-11-22),
  so the page follows all its jobs through one event stream (`/api/events`), never one stream per job.
- `EventSource` reconnects by itself, with `Last-Event-ID`, whenever a stream ends; it must be closed by the page after
  a terminal event (WHATWG HTML, "Server-sent events", read 2026-11-22).
- Proxies close connections that are silent for 60 s (nginx `proxy_read_timeout`); a comment goes out every 15 s.
"""

from adapters.web.adapter import WebAdapter, create
from adapters.web.settings import Settings

__all__ = ["Settings", "WebAdapter", "create"]
