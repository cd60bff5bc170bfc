"""Slack. A translator between slack-bolt and the core; it judges nothing and waits for no job.

Deadlines and limits that everything in this folder is built around (Slack's documentation, slack-bolt 1.30 and
slack-sdk 3.47 source and measurements; read 2026-11-22):

- commands, interactions and events are acknowledged within 3 s; only events come again (at once, 1 min, 5 min);
- a trigger_id opens one modal within 3 s; a response_url takes 5 answers within 30 min;
- commands do not work in threads and bring no file; a modal's file field takes 10 MB per file;
- tiers per method, workspace and app: 20, 50 or 100 calls a minute; posts about one a second and channel;
- files go up in three steps, 1 GB at most; a file may be shown only once Slack has processed it, and only in a new
  message; ephemeral messages show no files;
- streamed messages work in threads, die after about 5 min, and cannot be edited meanwhile;
- Socket Mode allows ten connections per app and recycles them every few hours;
- 3,000 characters in a section, 2,000 in alternative text, 50 blocks a message, 75 characters on a button.
"""

import importlib
from typing import Any

from adapters.slack.settings import Settings

__all__ = ["Settings"]

_HOMES = {
    "create": "adapter",
    "credentials": "setup.manifest",
    "examine": "setup.doctor",
    "manifest": "setup.manifest",
}
"""Of what needs slack-bolt, whose import takes a third of a second: only a process that uses the platform pays it."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
