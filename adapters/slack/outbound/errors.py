"""Slack's error codes, our four exceptions for them, and their mapping to the core's errors. No I/O.

No other module knows Slack's error codes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
from slack_sdk.errors import SlackClientError

from core.domain.errors import DeliveryError, DeliveryRefused, DeliveryUnavailable

MESSAGE_GONE, THREAD_GONE, FILE_TOO_LARGE = "message_not_found", "thread_not_found", "file_upload_size_restricted"
SCOPE_MISSING, FILE_GONE, VIEW_GONE, BLOCKS_REFUSED = "missing_scope", "file_not_found", "not_found", "invalid_blocks"
TOKEN_EXPIRED, NO_TOKEN, STREAM_STOPPED = "token_expired", "not_authed", "stopped_by_user"
GONE = frozenset({MESSAGE_GONE, FILE_GONE, "file_deleted"})
FILES_TOO_LARGE = frozenset({FILE_TOO_LARGE, "storage_limit_reached"})
RATE_LIMITED = frozenset({"ratelimited", "rate_limited"})
OUTCOME_UNKNOWN = frozenset({"internal_error", "fatal_error"})
"""Slack: "It's possible some aspect of the operation succeeded before the error was raised"."""

FILE_HIDDEN = frozenset({FILE_GONE, "not_visible", "access_denied", SCOPE_MISSING, "no_permission"})
STREAMS_UNSUPPORTED = frozenset(
    {"channel_type_not_supported", "unknown_method", "feature_not_enabled", "missing_recipient_user_id",
     "missing_recipient_team_id", "invalid_arguments", "invalid_chunks", "not_allowed_token_type", SCOPE_MISSING,
     "method_not_supported_for_channel_type", "user_not_found"}
)  # fmt: skip
"""Streams are not available in this workspace or kind of channel."""

TOKEN_UNUSABLE = frozenset({TOKEN_EXPIRED, "invalid_auth"})
"""Passes, once the token is renewed, or the address may call again, which has the same answer as a wrong token."""
APP_GONE = frozenset({"account_inactive", "token_revoked"})
REVOKED = frozenset({*APP_GONE, NO_TOKEN, "team_access_not_granted", "app_uninstalled"})
"""The workspace has revoked its access."""

BOT_MISSING = frozenset({"not_in_channel", "channel_not_found"})
CHANNEL_FORBIDDEN = frozenset(
    {*BOT_MISSING, "is_archived", "restricted_action", "restricted_action_read_only_channel",
     "posting_to_channel_denied"}
)  # fmt: skip
"""The bot may not post in this channel until it is added or allowed."""

REQUEST_GONE = frozenset({THREAD_GONE, "cannot_reply_to_message", "restricted_action_thread_locked"})
"""The message or thread of the request is deleted or locked: nothing may stay in public."""

EDITS_FORBIDDEN = frozenset({"edit_window_closed", "cant_update_message"})
"""This message may not be edited (any more), as by a workspace's setting, but new ones may be posted."""

MESSAGE_INVALID = frozenset(
    {BLOCKS_REFUSED, "invalid_blocks_format", "msg_too_long", "msg_blocks_too_long", "no_text", "invalid_arguments",
     "invalid_arg_name", "invalid_charset", "invalid_form_data", "invalid_post_type"}
)  # fmt: skip
"""The message itself is invalid, in any channel."""

TRANSIENT = frozenset(
    {*OUTCOME_UNKNOWN, *RATE_LIMITED, "service_unavailable", "request_timeout",
     "file_update_failed", "update_failed", "messaging_processing_failed", "team_added_to_org",
     "org_login_required"}
)  # fmt: skip
"""Worth a retry after a pause."""


class SlackError(Exception):
    """Base; `error` is Slack's short code, never text that people typed."""

    may_have_succeeded = False
    """Whether Slack may have executed the request anyway."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class SlackRefused(SlackError):
    """Slack answered `ok: false`. `data` is the answer."""

    def __init__(self, error: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(error)
        self.data = data or {}


class SlackRevoked(SlackError):
    """The workspace has revoked the app's access."""


class SlackUnavailable(SlackError):
    """No usable answer within the time limit."""

    def __init__(self, error: str, *, may_have_succeeded: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(error)
        self.may_have_succeeded = may_have_succeeded
        self.retry_after_s = retry_after_s


def direct_message_may_work(error: SlackError) -> bool:
    """Whether a direct message may succeed after this refusal of a post. True for unknown error codes."""
    return isinstance(error, SlackRefused) and error.error not in MESSAGE_INVALID | TRANSIENT


def is_permanent(error: SlackError) -> bool:
    """Whether no retry can succeed."""
    return isinstance(error, SlackRevoked) or (isinstance(error, SlackRefused) and error.error not in TRANSIENT)


def delivery_error(error: SlackError) -> DeliveryError:
    if isinstance(error, SlackUnavailable):
        return DeliveryUnavailable(retry_after_s=error.retry_after_s)
    if isinstance(error, SlackRevoked):
        return DeliveryRefused(reason="revoked")
    if error.error in TRANSIENT:
        return DeliveryUnavailable(retry_after_s=None)
    if error.error in (MESSAGE_GONE, THREAD_GONE):
        return DeliveryRefused(reason="gone")
    if error.error in EDITS_FORBIDDEN:
        return DeliveryRefused(reason="too_old")
    if error.error in CHANNEL_FORBIDDEN or error.error in (SCOPE_MISSING, "user_disabled", "user_not_found"):
        return DeliveryRefused(reason="forbidden")
    return DeliveryRefused(reason="refused")


@contextmanager
def as_delivery_errors() -> Iterator[None]:
    """Turn a SlackError into the matching DeliveryError."""
    try:
        yield
    except SlackError as error:
        raise delivery_error(error) from None


NO_ANSWER = (aiohttp.ClientError, TimeoutError, ConnectionError, SlackClientError, ValueError, AttributeError)
"""What the SDK raises if there is no usable answer: some bodies that are not JSON lead to ValueError or AttributeError.

SlackApiError, with Slack's own answer, is a SlackClientError, too.
"""


def code_of(error: Exception) -> str:
    """Slack's short code in an SDK exception; empty if the body was not JSON (the SDK then holds text or bytes)."""
    response = getattr(error, "response", None)
    data = response if isinstance(response, dict) else getattr(response, "data", None)
    return str(data.get("error") or "") if isinstance(data, dict) else ""
