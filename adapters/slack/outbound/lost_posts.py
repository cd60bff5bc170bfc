"""A message whose post was never answered is found again by its mark: none stays behind, none comes twice."""

from __future__ import annotations

from typing import Any

import structlog

from adapters.slack.outbound.errors import SlackError
from adapters.slack.outbound.posting import Mark, Poster, ReplyStateCache

log = structlog.get_logger(__name__)

ARRIVED_AFTER_S = 20.0
"""A post that Slack shows to nobody so long after its answer was lost has not been made."""


async def noted_root(poster: Poster, notes: ReplyStateCache, job_id: str, *, now: bool) -> dict[str, Any] | None:
    """The job's message as noted; looked for once while the job goes on, and again when it matters (`now`).

    None: it is surely not there. Without `ts`: nobody knows, because its channel may not be read.
    """
    root: dict[str, Any] | None = await notes.get("root")
    if not root or root.get("ts") or not root.get("at") or (root.get("sought") and not now):
        return root
    age_s = poster.now() - root["at"]
    if age_s < ARRIVED_AFTER_S and not now:
        return root
    try:
        ts = await poster.find(Mark(job_id, "root"), root["at"])
    except SlackError as error:
        log.info("slack_lost_message_not_sought", job=job_id, error=error.error)
        await notes.put(root=root | {"sought": True})
        return root
    if ts:
        root = {"ts": ts, "channel": (await poster.place()).channel}
    else:
        root = root | {"sought": True} if age_s < ARRIVED_AFTER_S else None
    await notes.put(root=root)
    return root
