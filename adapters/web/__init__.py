"""The local page and its HTTP API, which need no account anywhere.

Like every adapter it only translates: a request becomes one call to the service, whose result is sent as JSON, a file
or an event stream. It decides nothing about parameters, pictures or prices.

Deadlines and limits of this platform, with their sources:

- A browser opens at most 6 connections to one host over HTTP/1.1 (Chromium's and Firefox's default, read 2026-11-22),
  so the page follows all its jobs through one event stream (`/api/events`), never one stream per job.
- `EventSource` reconnects by itself, with `Last-Event-ID`, whenever a stream ends; the page must close it after a
  terminal event (WHATWG HTML, "Server-sent events", read 2026-11-22).
- Proxies close connections that are silent for 60 s (nginx `proxy_read_timeout`), so a comment is sent every 15 s.
"""

from adapters.web.adapter import WebAdapter, create
from adapters.web.settings import Settings

__all__ = ["Settings", "WebAdapter", "create"]
