"""What every entry point of Slack shares, in one frozen bundle. Wiring only."""

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from slack_bolt.context.async_context import AsyncBoltContext

from adapters.slack.connection.task_group import Tasks
from adapters.slack.inbound.submit_jobs import Intake
from adapters.slack.inbound.translate import Where, where_of
from adapters.slack.inbound.user_cache import UserCache
from adapters.slack.outbound.api_client import SlackApi
from adapters.slack.outbound.ephemeral import Answers
from adapters.slack.outbound.files import Uploader
from adapters.slack.settings import Settings
from adapters.slack.setup.installations import Installs
from core.accounts.allowlist import AllowList
from core.images.renditions import JobMedia
from core.jobs.service import JobService
from core.ports import AppState, Clock

STORED_WITHIN_S = 2.6
"""Slack waits three seconds for an acknowledgement."""


@dataclass(frozen=True, slots=True)
class HandlerContext:
    settings: Settings
    service: JobService
    media: JobMedia
    state: AppState
    clock: Clock
    api: SlackApi
    installs: Installs
    people: UserCache
    answers: Answers
    intake: Intake
    uploader: Uploader
    tasks: Tasks
    guests: AllowList | None = None

    def where(self, body: Mapping[str, Any], context: AsyncBoltContext) -> Where:
        """The place and person of a payload, in the workspace that let us in."""
        team_id = context.team_id or (body.get("team") or {}).get("id") or body.get("team_id") or ""
        return where_of(body, str(team_id), str(context.enterprise_id or ""), self.clock.now())

    def locale(self, where: Where) -> str:
        """The member's language as far as it is known without asking."""
        person = self.people.cached(where.team_id, where.user_id)
        return person.locale if person is not None else "en"

    async def stored(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run `work` before the acknowledgement; False where it was not done in time.

        A process that dies in between leaves Slack's own warning, not silence.
        """
        return await self.tasks.done_within(STORED_WITHIN_S, "stored", work)
