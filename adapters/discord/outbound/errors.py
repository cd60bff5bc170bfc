"""Maps discord.py's exceptions to the core's errors. Discord's error codes are known only here. Pure."""

import aiohttp
import discord

from adapters.discord.outbound.payload import UploadTooLarge
from core.domain import errors as e

# Opcodes page of the developer documents, read 2026-11-22.
UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION = 10003, 10008, 10015, 10062
ALREADY_ACKNOWLEDGED, FOLLOW_UP_CAP, INVALID_WEBHOOK_TOKEN = 40060, 40094, 50027
ENTITY_TOO_LARGE, FILE_TOO_LARGE, INVALID_FORM = 40005, 50045, 50035
TOO_MANY_EDITS_OF_OLD_MESSAGE = 30046
THREAD_ARCHIVED = 50083
NO_HISTORY_TO_REPLY = 160002
"""A reply needs the permission to read the channel's history; a plain message does not."""

TOKEN_DEAD = frozenset({UNKNOWN_WEBHOOK, INVALID_WEBHOOK_TOKEN, UNKNOWN_INTERACTION})

TRANSIENT: tuple[type[Exception], ...] = (
    aiohttp.ClientError,
    OSError,  # TimeoutError as well
    discord.DiscordServerError,
    discord.RateLimited,
)
"""Worth a retry. discord.py itself retries most 5xx and 429, but no connection reset on Linux (measured)."""

HTTP_OR_TRANSIENT: tuple[type[Exception], ...] = (discord.HTTPException, *TRANSIENT)
"""Everything that a REST call of the library raises when Discord or the network fails."""

FAILED_CALLS: tuple[type[Exception], ...] = (*HTTP_OR_TRANSIENT, e.DeliveryError, UploadTooLarge)
"""The same, as raised by ApiClient."""


def code_of(error: BaseException) -> int:
    return error.code if isinstance(error, discord.HTTPException) else 0


def has_code(error: BaseException, code: int) -> bool:
    return code_of(error) == code


def is_token_dead(error: BaseException) -> bool:
    """Whether the interaction token no longer works and must not be used again."""
    return isinstance(error, discord.HTTPException) and (error.code in TOKEN_DEAD or error.status == 401)


def is_message_gone(error: BaseException) -> bool:
    return has_code(error, UNKNOWN_MESSAGE)


def raise_if_archived(error: BaseException) -> None:
    """Raise DeliveryUnavailable where a message cannot be changed only until somebody opens its thread again."""
    if has_code(error, THREAD_ARCHIVED):
        raise e.DeliveryUnavailable from error


def is_request_gone(error: BaseException) -> bool:
    """Whether the message to reply to was deleted: Discord reports it as unknown, or as an invalid reference."""
    return is_message_gone(error) or (has_code(error, INVALID_FORM) and "message_reference" in str(error))


def is_too_large(error: BaseException) -> bool:
    if not isinstance(error, discord.HTTPException):
        return False
    return error.status == 413 or error.code in (ENTITY_TOO_LARGE, FILE_TOO_LARGE)


def is_transient(error: BaseException) -> bool:
    if isinstance(error, discord.HTTPException):
        return error.status >= 500 or (error.status == 429 and error.code != TOO_MANY_EDITS_OF_OLD_MESSAGE)
    return isinstance(error, TRANSIENT)


def retry_after_s(error: BaseException) -> float | None:
    """The pause that Discord asks for, in seconds; None where it asks for none."""
    if isinstance(error, discord.RateLimited):
        return error.retry_after
    if isinstance(error, discord.HTTPException) and error.status == 429:
        try:
            return float(error.response.headers.get("Retry-After", ""))
        except ValueError:
            return None
    return None


def to_delivery_error(error: Exception) -> e.DeliveryError:
    """Map a failed REST call to DeliveryUnavailable (retry later) or DeliveryRefused. Re-raises any other error."""
    if isinstance(error, e.DeliveryError):
        return error
    if is_transient(error):
        return e.DeliveryUnavailable(retry_after_s=retry_after_s(error))
    if is_message_gone(error) or has_code(error, UNKNOWN_CHANNEL):
        return e.DeliveryRefused(reason="gone")
    if is_token_dead(error) or has_code(error, TOO_MANY_EDITS_OF_OLD_MESSAGE):
        return e.DeliveryRefused(reason="too_old")
    if isinstance(error, discord.Forbidden):
        return e.DeliveryRefused(reason="forbidden")
    if isinstance(error, (discord.DiscordException, TypeError, UploadTooLarge)):
        return e.DeliveryRefused(reason="refused")
    raise error


def to_member_error(error: Exception) -> e.UpscaleError:
    return e.PlatformBusy() if isinstance(to_delivery_error(error), e.DeliveryUnavailable) else e.PlatformRefused()
