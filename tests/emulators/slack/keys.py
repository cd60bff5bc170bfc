"""Typed keys under which the emulator's aiohttp applications keep what they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from tests.emulators.slack.server import SlackEmulator

EMULATOR: web.AppKey[SlackEmulator] = web.AppKey("emulator")
HOST: web.AppKey[str] = web.AppKey("host")
