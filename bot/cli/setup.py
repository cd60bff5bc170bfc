"""`python -m bot setup` asks for the keys, checks each answer live, and writes `.env`; also `invite`, `slack-manifest`.

The adapters provide the questions, links and manifest of their platforms.
"""

import asyncio
import getpass
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from dotenv import set_key

from bot import settings
from bot.cli.console import CommandError, disk_errors, err, out, print_finding, styled
from bot.cli.doctor import key_finding, run_check
from bot.cli.session import read_settings
from bot.providers import fal_config
from bot.settings import Platform, Settings
from bot.settings_problems import encoding_of
from core.ports import Credential, Finding, NotUsable, SystemClock
from core.upscalers.fal import FalUpscaler

_TRIES = 3
_NOT_OF_KEY = re.compile(r"""^\W*(?:bot|bearer|key)\s+|[\s'"`“”]""", re.IGNORECASE)
"""Text that is often copied together with a key, and is never part of one."""
_UNQUOTED = re.compile(r"[A-Za-z0-9_.:/@+=,-]*")
Ask = Callable[[str, Credential], str]

_FAL = (
    Credential(
        "FAL_KEY",
        "the API key",
        (
            "Open https://fal.ai/dashboard/keys, press Add key, and choose the scope API.",
            "fal is prepaid: add credit at https://fal.ai/dashboard/billing; leave automatic top-up off.",
            "Without a key a small model on this machine does the work, for nothing.",
        ),
    ),
)
_PLACES = (
    Credential(
        "ALLOWED_WORKSPACES",
        "places that may spend your money, or Enter",
        (
            "Servers that you own, the workspace of your Slack token, and you yourself may use it anyway.",
            "Others: discord:<server id> (its menu: Copy Server ID) or slack:<team id>, with commas; * for everybody.",
            "Later, `python -m bot allow` does the same; whoever asks from elsewhere is told that you decide.",
        ),
        secret=False,
    ),
)


Area = tuple[str, Sequence[Credential], Callable[[Settings], Any]]
"""Questions that are asked and checked together: title, questions, check."""


def _read_line(prompt: str, credential: Credential) -> str:
    """Read a line. On a terminal, a secret is not shown while it is typed."""
    try:
        if credential.secret and sys.stdin.isatty():
            return getpass.getpass(prompt)
        err.print(prompt, end="")
        return input()
    except EOFError:
        err.print()
        return ""


def run_setup(ask: Ask = _read_line, path: Path = Path(".env")) -> None:
    """Set up fal and every platform. Accepted answers are written after each, so that none is lost."""
    err.print("Press Enter to skip a question or to keep what is set already. Keys are not shown while you type.\n")
    for area in _areas(read_settings()):
        accepted = _go_through(area, ask)
        if accepted:
            with disk_errors(f"{path} cannot be written"):
                write_env(path, accepted)
            err.print(f"Saved in {path}.\n")
            for name in accepted:
                if os.environ.get(name, accepted[name]) != accepted[name]:
                    what = f"{name} is set in the environment too, which wins over {path}; take it out there."
                    print_finding(Finding("warning", what), err)
            os.environ.update(accepted)
    err.print("Done. Start the bot with `make run`.")
    if any(platform.settings.enabled for platform, _ in _offering(settings.load(), "invite_links")):
        err.print("`python -m bot invite` prints the links that bring the bot to people.")


def _areas(found: Settings) -> Iterator[Area]:
    yield "fal, which runs the model", _FAL, _check_fal
    for platform in found.platforms:
        questions, examine = (getattr(platform.package, name, None) for name in ("credentials", "examine"))
        if questions is not None and examine is not None:
            title = platform.name.capitalize()
            yield title, questions(platform.settings, found.public_url), _checker(platform.name, examine)
    now = settings.load()
    if now.backend == "fal" and any(platform.settings.enabled for platform in now.platforms if platform.name != "web"):
        yield "Whose images you pay for", _PLACES, _check_places


def _checker(name: str, examine: Any) -> Callable[[Settings], Any]:
    return lambda found: examine(next(p.settings for p in found.platforms if p.name == name), found.public_url)


def _go_through(area: Area, ask: Ask) -> dict[str, str]:
    """Ask and check up to three times; returns the accepted answers."""
    title, credentials, check = area
    err.print(styled((title, "bold")))
    for attempt in range(_TRIES):
        answers: dict[str, str] = {}
        for credential in credentials:
            for number, step in enumerate(credential.steps if attempt == 0 else (), 1):
                err.print(f"  {number}. {step}")
            answer = ask(f"  {credential.variable} ({credential.title}): ", credential).strip()
            if credential.secret:
                answer = _NOT_OF_KEY.sub("", answer)
            if answer:
                answers[credential.variable] = answer
        if not answers or _accepted(title, check, answers):
            return answers
    err.print("Left as it was; run `python -m bot setup` again when you have it.\n")
    return {}


def _accepted(title: str, check: Callable[[Settings], Any], answers: dict[str, str]) -> bool:
    """Print the findings of the check; returns whether there is no problem."""
    try:
        found = settings.load(**{name.lower(): answer for name, answer in answers.items()})
        findings = asyncio.run(run_check(title, lambda: check(found)))
    except NotUsable as error:
        findings = [Finding("problem", str(error))]
    for finding in findings:
        print_finding(finding, err)
    return all(finding.level != "problem" for finding in findings)


async def _check_fal(found: Settings) -> Sequence[Finding]:
    upscaler = FalUpscaler(fal_config(found), SystemClock())
    await upscaler.start()
    try:
        return [await key_finding(upscaler)]
    finally:
        await upscaler.close()


async def _check_places(found: Settings) -> Sequence[Finding]:
    return [Finding("ok", f"These may use it too: {', '.join(found.allowed_workspaces)}.")]


def write_env(path: Path, values: Mapping[str, str]) -> None:
    """Set these variables: in the line that sets them already, else at the end. The file gets mode 0600.

    Each is written completely or not at all. Raises OSError.
    """
    path = path.resolve()  # a link stays one
    path.touch(mode=0o600)
    path.chmod(0o600)
    for name, value in values.items():
        quote_mode = "never" if _UNQUOTED.fullmatch(value) else "always"
        set_key(path, name, value, quote_mode=quote_mode, encoding=encoding_of(path))


def print_invites() -> None:
    """Print the invite links of every platform that is set up, with the reason for each permission."""
    found = read_settings()
    offered = [(platform, make) for platform, make in _offering(found, "invite_links") if platform.settings.enabled]
    if not offered:
        raise CommandError("No platform with invite links is set up; set DISCORD_TOKEN first.")
    for platform, make in offered:
        invites = asyncio.run(make(platform.settings))
        if not invites:
            raise CommandError(f"No link can be made for {platform.name}: its token does not look right.")
        for invite in invites:
            err.print(styled((invite.title, "bold")))
            out.print(invite.url)
            for permission in invite.permissions:
                err.print(styled((f"  {permission.name}: {permission.reason}", "dim")))


def print_manifest() -> None:
    """Print only the manifest to standard output, so that it can be piped."""
    found = read_settings()
    for platform, make in _offering(found, "manifest"):
        try:
            typer.echo(make(platform.settings, found.public_url))
        except ValueError as missing:
            raise CommandError(str(missing)) from None
        return
    raise CommandError("No platform offers a manifest.")


def _offering(found: Settings, name: str) -> list[tuple[Platform, Any]]:
    return [(one, make) for one in found.platforms if (make := getattr(one.package, name, None)) is not None]
