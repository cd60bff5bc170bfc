"""`python -m bot setup` asks for the keys, checks each answer live, and writes `.env`; `invite` and `slack-manifest`.

The platforms bring their own questions, links and manifest; none is named here.
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
from bot.cli.console import CommandError, err, out, print_finding, refused_by_disk, styled
from bot.cli.doctor import bounded, key_finding
from bot.cli.session import read_settings
from bot.providers import fal_config
from bot.settings import Platform, Settings
from bot.settings_problems import encoding_of
from core.ports import Credential, Finding, NotUsable, SystemClock
from core.upscalers.fal import FalUpscaler

_TRIES = 3
_AROUND = re.compile(r"""^\W*(?:bot|bearer|key)\s+|[\s'"`“”]""", re.IGNORECASE)
"""What is copied along with a key, and never is in one."""
_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+=,-]*")
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
"""What is asked together and checked together: its title, the questions, the check."""


def _typed(prompt: str, credential: Credential) -> str:
    """A line; a secret is not shown while it is typed, and is read as it is where there is no terminal."""
    if credential.secret and sys.stdin.isatty():
        return getpass.getpass(prompt)
    try:
        return input(prompt)
    except EOFError:
        return ""


def run_setup(ask: Ask = _typed, path: Path = Path(".env")) -> None:
    """Go through fal and every platform; what was accepted is written after each, so that nothing is asked twice."""
    err.print("Press Enter to skip a question or to keep what is set already. Keys are not shown while you type.\n")
    for area in _areas(settings.load()):
        accepted = _go_through(area, ask)
        if accepted:
            with refused_by_disk(f"{path} cannot be written"):
                write_env(path, accepted)
            os.environ.update(accepted)
            err.print(f"Saved in {path}.\n")
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
    """Ask and check until it works or is given up; the accepted answers."""
    title, credentials, check = area
    err.print(styled((title, "bold")))
    for attempt in range(_TRIES):
        answers: dict[str, str] = {}
        for credential in credentials:
            for number, step in enumerate(credential.steps if attempt == 0 else (), 1):
                err.print(f"  {number}. {step}")
            answer = ask(f"  {credential.variable} ({credential.title}): ", credential).strip()
            if credential.secret:
                answer = _AROUND.sub("", answer)
            if answer:
                answers[credential.variable] = answer
        if not answers or _accepted(title, check, answers):
            return answers
    err.print("Left as it was; run `python -m bot setup` again when you have it.\n")
    return {}


def _accepted(title: str, check: Callable[[Settings], Any], answers: dict[str, str]) -> bool:
    """Say what the check finds; whether nothing is wrong."""
    try:
        found = settings.load(**{name.lower(): answer for name, answer in answers.items()})
        findings = asyncio.run(bounded(title, lambda: check(found)))
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
    """Set these variables: in the line that sets them already, else at the end. For its owner only (0600).

    Each is written whole or not at all. Raises OSError.
    """
    path.touch(mode=0o600)
    path.chmod(0o600)
    for name, value in values.items():
        set_key(
            path, name, value, quote_mode="never" if _PLAIN.fullmatch(value) else "always", encoding=encoding_of(path)
        )


def print_invites() -> None:
    """The links of every platform that has some and is set up, with what each permission is for."""
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
    """The manifest, alone on standard output, so that it can be piped."""
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
