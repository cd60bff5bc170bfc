"""`python -m bot doctor`: check everything the bot needs, and print each finding with its fix.

Changes nothing and spends nothing. Adapters check their own platforms (`examine` in the adapter's package).
"""

from __future__ import annotations

import asyncio
import dataclasses
import email.utils
import json
import shutil
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import typer

import core.images.confinement
from bot.cli.console import Exit, out, print_finding
from bot.providers import store_problem
from bot.settings import Settings
from core.accounts.allowlist import EVERYBODY
from core.images.confinement import MISSING
from core.ports import Finding
from core.presentation.formats import usd
from core.storage.database_url import explain
from core.upscalers.fal import FalUpscaler

if TYPE_CHECKING:
    from bot.app import App

_CHECK_TIMEOUT_S = 20.0
_LOW_CREDIT_NANOUSD = 5_000_000_000
_CLOCK_LIMIT_S = 30.0
"""Slack requests and fal's webhooks are refused if their signature is more than five minutes off."""
_LOW_DISK_BYTES = 2_000_000_000

Check = Callable[[], Awaitable[Sequence[Finding]]]


async def examine(app: App, *, as_json: bool = False) -> Exit:
    """Run every check and print the findings as they come; FAILED if any is a problem."""
    found = []
    async for finding in findings(app):
        found.append(finding)
        if not as_json:
            print_finding(finding, out)
    if as_json:
        print_json(found)
    return Exit.FAILED if any(one.level == "problem" for one in found) else Exit.OK


def print_json(found: Sequence[Finding]) -> None:
    typer.echo(json.dumps([dataclasses.asdict(one) for one in found], indent=2))


async def findings(app: App) -> AsyncIterator[Finding]:
    s = app.settings
    checks: list[tuple[str, Check]] = [
        ("the settings", lambda: _settings(s)),
        ("the data folder", lambda: _data(s)),
        ("the object store", lambda: _objects(s)),
        ("the database", lambda: _database(app)),
        ("the image workers", _workers),
        ("the model", lambda: _model(app)),
        ("the clock", lambda: _clock(s)),
    ]
    for platform in s.platforms:
        check = getattr(platform.package, "examine", None)
        if platform.settings.enabled and check is not None:
            checks.append((platform.name, partial(check, platform.settings, s.public_url)))
    for name, check in checks:
        for finding in await run_check(name, check):
            yield finding


async def run_check(name: str, check: Check) -> Sequence[Finding]:
    """Run a check; a timeout or an error in it is a finding as well."""
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            return await check()
    except TimeoutError:
        return [Finding("problem", f"Checking {name} took too long.", "Try again; look at the network.")]
    except Exception as error:
        return [Finding("problem", f"Checking {name} broke off ({type(error).__name__}).", "Look at the log.")]


async def _settings(s: Settings) -> Sequence[Finding]:
    found = [Finding("warning", warning) for warning in s.warnings]
    on = [platform.name for platform in s.platforms if platform.settings.enabled]
    found.append(Finding("ok", f"Platforms: {', '.join(on)}."))
    if on == ["web"]:
        fix = "Set the credentials of one in .env; .env.example says which."
        found.append(Finding("warning", "No chat platform is set up; only the local page is served.", fix))
    if s.backend == "fal" and EVERYBODY in (*s.allowed_workspaces, *s.allowed_users):
        most = "without any limit" if s.limit_global_day_usd is None else f"up to ${s.limit_global_day_usd} a day"
        fix = "Name the places in ALLOWED_WORKSPACES and ALLOWED_USERS, or leave them empty for your own only."
        found.append(Finding("warning", f"Anybody who adds the bot somewhere spends your money, {most}.", fix))
    if s.secret_key is None:
        fix = "Fine for one machine; for several, set the same SECRET_KEY on all of them."
        found.append(Finding("ok", "The encryption key is the file secret.key in DATA_DIR.", fix))
    return found


async def _data(s: Settings) -> Sequence[Finding]:
    free = shutil.disk_usage(s.data_dir).free
    what = f"{s.data_dir} can be written to; {free / 1e9:.1f} GB are free."
    fix = "Images are kept RETENTION_DAYS; lower it, or make room."
    if free < s.disk_free_bytes:
        return [Finding("problem", f"{what} Below DISK_FREE_BYTES nothing new is taken.", fix)]
    return [Finding("warning", what, fix) if free < _LOW_DISK_BYTES else Finding("ok", what)]


async def _objects(s: Settings) -> Sequence[Finding]:
    if s.files_url is None:
        return []
    wrong = await store_problem(s)
    return [wrong[1] if wrong is not None else Finding("ok", "The object store takes, gives and deletes files.")]


async def _workers() -> Sequence[Finding]:
    """Check which restrictions this kernel enforces on the processes that decode pictures."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "core.images.confinement", cwd=Path(core.images.confinement.__file__).parents[2],
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    printed, _ = await process.communicate()
    missing = [what for name, what in MISSING.items() if name not in json.loads(printed or b"[]")]
    if missing:
        fix = "Run on Linux 5.13 or newer with Landlock and seccomp switched on (and allowed in the container)."
        return [Finding("warning", f"Image workers are not kept from: {', '.join(missing)}.", fix)]
    return [Finding("ok", "Image workers are kept from secrets, network, other files and other processes.")]


async def _database(app: App) -> Sequence[Finding]:
    try:
        await app.database.refuse_pooler()
        await app.database.ping()
    except Exception as error:
        return [Finding("problem", "The database does not answer.", explain(error))]
    sqlite = f"SQLite {sqlite3.sqlite_version} (one process)"
    kind = sqlite if app.database.is_sqlite else "PostgreSQL (any number of processes)"
    return [Finding("ok", f"The database answers: {kind}."), *_processes(await app.replicas.roles(), app.settings)]


def _processes(roles: Mapping[str, int], s: Settings) -> Sequence[Finding]:
    serving = {role: roles[role] for role in ("all", "chat", "worker") if roles[role]}
    if not serving:
        return []
    found = [Finding("ok", f"Running now: {', '.join(f'{count} × ROLE={role}' for role, count in serving.items())}.")]
    if serving.keys() == {"chat"}:
        found.append(Finding("problem", "Requests are taken but no job runs.", "Start one more with --role worker."))
    if serving.keys() != {"all"} and s.files_url is None:
        fix = "Set FILES_URL, or give all of them the same DATA_DIR."
        found.append(Finding("warning", "Workers must see the images that are handed in elsewhere.", fix))
    return found


async def _model(app: App) -> Sequence[Finding]:
    upscaler = app.upscaler
    if not isinstance(upscaler, FalUpscaler):
        fix = "Set FAL_KEY (https://fal.ai/dashboard/keys) to run the real model."
        local = app.service.models.default.backend == "local"
        which = "small model of this machine runs" if local else "sandbox model runs: no AI"
        return [Finding("warning", f"The {which}, play money.", fix)]
    key = await key_finding(upscaler)
    if key.level != "ok":
        return [key]
    prices = [f"{usd(await app.prices.unit_price(model))} ({model.id})" for model in app.service.models]
    return [
        key,
        Finding("ok", f"One output megapixel costs {' or '.join(prices)}."),
        *await _credit(upscaler, app.settings),
    ]


async def key_finding(upscaler: FalUpscaler) -> Finding:
    match await upscaler.check_key():
        case "ok":
            return Finding("ok", "fal accepts the key.")
        case "refused":
            fix = "Make a new key with API scope at https://fal.ai/dashboard/keys and set FAL_KEY: it is id:secret."
            return Finding("problem", "fal does not accept FAL_KEY.", fix)
        case "unreachable":
            fix = "Check the network, and FAL_API_URL if you set it."
            return Finding("problem", "fal cannot be reached.", fix)


async def _credit(upscaler: FalUpscaler, found: Settings) -> Sequence[Finding]:
    credit = await upscaler.credit()
    if credit is None:
        lead = "fal names none for this FAL_ADMIN_KEY; set it to" if found.fal_admin_key else "Set FAL_ADMIN_KEY to"
        fix = f"{lead} a key with ADMIN scope, to see the credit and to reconcile."
        return [Finding("warning", "fal's credit is not known.", fix)]
    if credit <= 0:
        return [Finding("problem", "fal is out of credit.", "Top up at https://fal.ai/dashboard/billing.")]
    low = credit < _LOW_CREDIT_NANOUSD
    fix = "Top up at https://fal.ai/dashboard/billing." if low else ""
    return [Finding("warning" if low else "ok", f"fal's credit is {usd(credit)}.", fix)]


async def _clock(s: Settings) -> Sequence[Finding]:
    """Compare the clock with fal's Date header, if fal is used."""
    if s.backend != "fal":
        return [Finding("ok", f"The clock says {time.strftime('%Y-%m-%d %H:%M:%S %Z')}.")]
    try:
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.head(s.fal_rest_url) as answer:
            theirs = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (aiohttp.ClientError, TimeoutError, KeyError, ValueError):
        return [Finding("warning", "The clock could not be compared.", "Check the network.")]
    off_s = time.time() - theirs
    if abs(off_s) > _CLOCK_LIMIT_S:
        return [Finding("problem", f"The clock is {off_s:+.0f} s off.", "Switch on time synchronisation (NTP).")]
    return [Finding("ok", "The clock is right.")]
