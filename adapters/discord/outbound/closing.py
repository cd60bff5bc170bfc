"""Leaving the place where a job was asked: closing its message there in words, or taking it away."""

from __future__ import annotations

import discord
import structlog

from adapters.discord.outbound import errors
from adapters.discord.outbound.api_client import Which
from adapters.discord.outbound.delivery import Messenger
from adapters.discord.outbound.payload import Payload
from core.domain.errors import DeliveryRefused

log = structlog.get_logger(__name__)


async def withdraw(messenger: Messenger) -> None:
    """Before the end of a job: where the member has deleted the message that asked for it, leave the channel.

    What follows then goes to the member alone. Nothing where Discord does not let us look.
    """
    notes = await messenger.notes.read()
    channel_id, in_public = messenger.address.channel_id, messenger.address.guild_id is not None
    if messenger.address.slot != "message" or not in_public or messenger.alone or notes.gone or notes.made:
        return
    try:
        await messenger.rest.message(channel_id, messenger.address.interaction_id)
    except errors.FAILED_CALLS as error:
        if not errors.is_message_gone(error):
            return
        log.info("request_deleted", job=messenger.job_id)
        if notes.message_id is not None:
            await _remove(messenger, channel_id, notes.message_id)
        await messenger.notes.write(gone=True)


async def _remove(messenger: Messenger, channel_id: int, message_id: int) -> None:
    try:
        await messenger.rest.remove(channel_id, message_id)
    except (discord.HTTPException, DeliveryRefused) as error:
        if not errors.is_message_gone(error):
            log.info("message_not_deleted", job=messenger.job_id, code=errors.code_of(error))
            await messenger.notes.owe_removal(channel_id, message_id)


async def close(messenger: Messenger, payload: Payload) -> None:
    """Put these words where the job was asked, which is no longer the message in use. One place, no other way.

    Raises DeliveryUnavailable; a place that refuses has nothing left to close.
    """
    notes = await messenger.notes.read()
    token, origin = await messenger.token(notes), notes.origin_id
    which: Which | None = origin if messenger.address.slot == "followup" else "@original"
    try:
        if notes.origin_gone:
            return
        if token is not None and which is not None:
            await messenger.rest.edit_answer(messenger.address.app_id, token, which, payload)
        elif origin is not None and messenger.bot_can_act:
            await messenger.rest.edit_message(messenger.address.channel_id, origin, payload)
    except (discord.HTTPException, DeliveryRefused) as error:
        log.info("message_not_closed", job=messenger.job_id, code=errors.code_of(error))
        await messenger.notes.write(origin_gone=True)
