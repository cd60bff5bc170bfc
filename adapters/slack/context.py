"""What every entry point of Slack shares, in one frozen bundle. Wiring only."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.slack.connection.task_group import Tasks
from adapters.slack.inbound.submit_jobs import Intake
from adapters.slack.inbound.user_cache import UserCache
from adapters.slack.outbound.api_client import SlackApi
from adapters.slack.outbound.ephemeral import Answers
from adapters.slack.outbound.response_url import Responses
from adapters.slack.outbound.uploads import Uploader
from adapters.slack.settings import Settings
from adapters.slack.setup.installations import Installs
from core.ports import AppState, Clock, Guests, Media, Service


@dataclass(frozen=True, slots=True)
class HandlerContext:
    """Hands for the entry points."""

    settings: Settings
    service: Service
    media: Media
    state: AppState
    clock: Clock
    api: SlackApi
    installs: Installs
    people: UserCache
    answers: Answers
    responses: Responses
    intake: Intake
    uploader: Uploader
    tasks: Tasks
    guests: Guests | None = None
