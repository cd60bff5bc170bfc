"""The Discord adapter: translates between discord.py 2.7.1 and the core.

Deadlines and limits that this package is built around (Discord's developer documents as of
2026-08-06, its change log until 2026-10, and measurements with discord.py 2.7.1; read 2026-11-22):

- an interaction must be acknowledged within 3 s, and its token is valid for 15 min;
- the acknowledgement decides whether the response is ephemeral, and that cannot be changed later;
- each interaction announces the upload limit per file (`attachment_size_limit`); a request may have 25 MiB;
- Components V2: 40 components, 4000 characters of text, custom_id of 100, alternative text of 1024;
- a user install without the bot in the server: 5 follow-ups, and after 15 min only direct messages;
- edits of one response: about 5 in 2 s observed, so at most one per 2 s per job;
- 10,000 responses of 401, 403 or 429 in 10 min ban the IP address: a dead token is never used twice;
- one IDENTIFY per 5 s for each `shard_id % max_concurrency`, over all processes.
"""

import importlib
from typing import Any

from adapters.discord.settings import Settings

__all__ = ["Settings"]

_LAZY = {
    "create": "adapter",
    "credentials": "setup.doctor",
    "examine": "setup.doctor",
    "invite_links": "setup.invite",
}
"""Imported on first use, because importing discord.py takes a third of a second."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(name)
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
