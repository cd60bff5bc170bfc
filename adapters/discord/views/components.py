"""Buttons and selects: all that a press needs is in the custom_id, so that it works after a restart, in any process."""

import re
from dataclasses import dataclass
from typing import Any

import discord

_PRESS = re.compile(r"up1s?:(?P<action>[a-z_]+):(?P<subject>[0-9a-z]*)(?::(?P<argument>[0-9a-z._-]*))?")


@dataclass(frozen=True, slots=True)
class Press:
    """What was pressed or chosen, on what (mostly a job), with which number or model, and the values of a choice."""

    action: str
    subject: str
    argument: str = ""
    values: tuple[str, ...] = ()


def button_id(action: str, subject: str, argument: str = "") -> str:
    return f"up1:{action}:{subject}:{argument}"


def select_id(action: str, subject: str) -> str:
    return f"up1s:{action}:{subject}"


def press_of(data: dict[str, Any]) -> Press | None:
    """From an interaction's data; None for a component that is not one of these."""
    found = _PRESS.fullmatch(str(data.get("custom_id", "")))
    if found is None:
        return None
    return Press(found["action"], found["subject"], found["argument"] or "", tuple(map(str, data.get("values") or ())))


def shows(message: discord.Message | None, custom_id: str) -> bool:
    """Whether the message that a press came from has this component; Discord itself sends the message along.

    Else whoever makes up presses chooses which message of ours becomes, or goes with, the answer.
    """
    waiting: list[Any] = list(message.components) if message is not None else []
    while waiting:
        one = waiting.pop()
        if getattr(one, "custom_id", None) == custom_id:
            return True
        waiting += getattr(one, "children", ())
        waiting += filter(None, (getattr(one, "accessory", None),))
    return False
