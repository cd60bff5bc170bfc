"""The operator's commands that look after what is stored: `reconcile`, `purge`, `backup`, `restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bot.cli.console import leave

upkeep = typer.Typer()


@upkeep.command()
def reconcile(
    days: Annotated[int, typer.Option(min=1, max=90, help="How far back")] = 7,
    fix: Annotated[bool, typer.Option("--fix", help="Correct charges to what fal billed")] = False,
) -> None:
    """Compare our charges with fal's bill.

    Lists every difference. Needs FAL_ADMIN_KEY. Exit code 1 if there is any.
    """
    from bot.cli.reconcile import reconcile as work
    from bot.cli.session import in_app

    leave(in_app(lambda app: work(app, days, fix=fix)))


@upkeep.command()
def purge(
    older_than_days: Annotated[int | None, typer.Option(min=0, help="Default: RETENTION_DAYS; 0: all of them")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")] = False,
) -> None:
    """Delete old images, here and at fal.

    Money rows stay.
    """
    from bot.cli.reconcile import purge as work
    from bot.cli.session import in_app

    leave(in_app(lambda app: work(app, older_than_days, yes=yes)))


@upkeep.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write, e.g. upscale-bot.backup")],
    pictures: Annotated[bool, typer.Option("--pictures", help="With the images that are still kept")] = False,
) -> None:
    """Copy everything that is stored into one file.

    Jobs, money, settings and the key; the bot may run meanwhile. The file holds secrets: keep it like a password.
    """
    from bot.cli.backup import make_backup
    from bot.cli.session import in_app

    leave(in_app(lambda app: make_backup(app, file, pictures=pictures)))


@upkeep.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `backup` wrote")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")] = False,
) -> None:
    """Replace everything that is stored by a backup.

    The bot must be stopped. Nothing is posted or paid again by itself afterwards.
    """
    from bot.cli.backup import restore_backup

    leave(restore_backup(file, yes=yes))
