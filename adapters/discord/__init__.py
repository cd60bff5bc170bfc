"""Discord, as a thin translator over the core, on discord.py 2.7.1.

Deadlines and limits that everything in this folder is built around (Discord's developer documents as of
2026-08-06, its change log until 2026-10, and measurements with discord.py 2.7.1; read 2026-11-22):

- first answer to an interaction within 3 s, its token lives for 15 min; both fixed;
- whether an answer is private is decided by the first answer and cannot be changed later;
- the upload limit per file is announced by each interaction (`attachment_size_limit`); a request may have 25 MiB;
- Components V2: 40 components, 4000 characters of text, custom_id of 100, alternative text of 1024;
- a user install without the bot in the server: 5 follow-ups, and no way at all after 15 min but a direct message;
- edits of one answer: about 5 in 2 s observed, so at most one per 2 s per job;
- 10,000 answers of 401, 403 or 429 in 10 min ban the address: a dead token is never used twice;
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
"""Of what needs discord.py, whose import takes a third of a second: only a process that uses the platform pays it."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(name)
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
