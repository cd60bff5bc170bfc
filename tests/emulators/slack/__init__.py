"""A strict Slack on loopback, built from Slack's documented behaviour (read 2026-11), not from what our adapter sends.

Web API in every argument style of the SDK, tokens and scopes per workspace, rate tiers, the three-step upload, private
files, Socket Mode, signed HTTP events with redelivery, response_url, triggers and modals, streamed messages, OAuth.
It has a movable clock, records every request, and lets a test act as a member. It must never be kind.
"""

from tests.emulators.slack.member import MemberControl
from tests.emulators.slack.member_events import Outcome
from tests.emulators.slack.reading import find_element, mentions, text_of
from tests.emulators.slack.server import SlackEmulator
from tests.emulators.slack.world import Message, SlackFile, View, Workspace

__all__ = [
    "MemberControl",
    "Message",
    "Outcome",
    "SlackEmulator",
    "SlackFile",
    "View",
    "Workspace",
    "find_element",
    "mentions",
    "text_of",
]
