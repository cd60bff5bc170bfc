"""What every entry point of Slack shares, in one frozen bundle. Wiring only."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.slack.answers import Answers
from adapters.slack.calls import SlackApi
from adapters.slack.installs import Installs
from adapters.slack.intake import Intake
from adapters.slack.people import People
from adapters.slack.responses import Responses
from adapters.slack.settings import Settings
from adapters.slack.tasks import Tasks
from adapters.slack.uploads import Uploader
from core.ports import AppState, Clock, Media, Service


@dataclass(frozen=True, slots=True)
class Desk:
    """Hands for the entry points."""

    settings: Settings
    service: Service
    media: Media
    state: AppState
    clock: Clock
    api: SlackApi
    installs: Installs
    people: People
    answers: Answers
    responses: Responses
    intake: Intake
    uploader: Uploader
    tasks: Tasks
