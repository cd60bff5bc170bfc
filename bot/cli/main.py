"""The command line: `python -m bot run|setup|doctor|invite|slack-manifest|upscale|usage|quota|job|history|…`.

Heavy parts are imported by the command that needs them, so that `--help` is quick. Exit codes: 0 done, 1 a job or
check failed, 2 wrong use or settings, 3 refused by a budget, 4 cancelled.
"""

import errno
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from bot.cli.console import (
    CommandError,
    Exit,
    app_command,
    err,
    exit_code,
    exit_with,
    file_or_folder,
    parameter_flags,
    print_notice,
)
from bot.cli.jobs import history, job
from bot.cli.limits import allow, limits, quota, usage
from bot.cli.upkeep import upkeep
from core.domain.errors import UpscaleError
from core.ports import Finding, NotUsable
from core.presentation import explain, notice_without_job

_ABOUT = """Upscales images in Discord and Slack, on a local page and in this terminal.

Settings come from the environment and .env; .env.example documents them all.
"""


class _Plain(TyperGroup):
    """Removes pydantic's phrases from the messages about wrong arguments, and ends at Ctrl-C with our exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # of which typer would make 130
            err.print()
            raise typer.Exit(int(Exit.CANCELLED)) from None
        except typer.BadParameter as wrong:
            wrong.message = wrong.message.removeprefix("Value error, ").replace("Input should be", "it must be", 1)
            raise


cli = typer.Typer(cls=_Plain, no_args_is_help=True, rich_markup_mode=None, help=_ABOUT, pretty_exceptions_enable=False)
cli.add_typer(quota, name="quota")
cli.add_typer(upkeep)


def _print_version(wanted: bool) -> None:
    if wanted:
        from bot import VERSION

        typer.echo(f"upscale-bot {VERSION}")
        raise typer.Exit


@cli.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options before the command."""


Role = Literal["all", "chat", "worker"]
_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True}


@cli.command()
def run(
    role: Annotated[Role | None, typer.Option(help="chat: take requests only. worker: run jobs only.")] = None,
) -> None:
    """Start the bot and the local page.

    Every platform whose credentials are set is started. Stops at Ctrl-C or SIGTERM.
    """
    from bot.cli.session import run_bot

    exit_with(run_bot(**({"role": role} if role is not None else {})))


@cli.command()
def doctor(json: Annotated[bool, typer.Option("--json", help="One JSON array, for programs")] = False) -> None:
    """Check everything, with the fix for each.

    Keys, scopes, permissions, database, clock and credit. Exit code 1 if anything is wrong.
    """
    from bot.cli.doctor import examine, print_json
    from bot.cli.session import run_in_app

    try:
        exit_with(run_in_app(lambda app: examine(app, as_json=json)))
    except (CommandError, NotUsable) as stopped:
        if json:
            print_json([Finding("problem", str(stopped))])
        raise


@cli.command()
def setup() -> None:
    """Ask for the keys and write .env.

    Each is checked live. Can be run again; what is set already is kept where you press Enter.
    """
    from bot.cli.doctor import examine
    from bot.cli.session import run_in_app
    from bot.cli.setup import run_setup

    run_setup()
    err.print("\nThe whole, as `python -m bot doctor` finds it:")
    exit_with(run_in_app(examine))


@cli.command()
def invite() -> None:
    """Print the links that add the bot to Discord."""
    from bot.cli.setup import print_invites

    print_invites()


@cli.command("slack-manifest")
def slack_manifest() -> None:
    """Print the app manifest for Slack.

    Paste it at https://api.slack.com/apps: Create New App, From a manifest.
    """
    from bot.cli.setup import print_manifest

    print_manifest()


@cli.command(context_settings=_PASS_ON)
@parameter_flags
def upscale(
    arguments: Annotated[list[str], typer.Argument(metavar="FILE… [PARAMETERS]", help="Images or links; 3x seed=7 …")],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", parser=file_or_folder, metavar="PATH", help="File, or folder for several images"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Agree to any price; limits still hold")] = False,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON per image")] = False,
    **given: str,
) -> None:
    """Enlarge images.

    The result is written next to each as NAME.2x.png. FILE may be a folder, or - for standard input; -o - writes
    to standard output.

    Exit codes: 0 done, 1 failed, 2 wrong use, 3 refused by a budget, 4 cancelled.
    """
    from bot.cli.files import read_arguments, without_pipe
    from bot.cli.session import run_in_app
    from bot.cli.upscale import Options
    from bot.cli.upscale import upscale as work

    fields = {name: value for name, value in given.items() if value}
    with without_pipe(arguments, out) as named:
        options = Options(read_arguments(named), fields, out, force, yes, json)
        exit_with(run_in_app(lambda app: work(app, options), takes_over=True))  # resumes the jobs of a killed command


for work in (usage, job, history, limits, allow):
    cli.command()(app_command(work))


def main() -> None:
    """Run the command line. Expected failures are printed as one sentence and become an exit code."""
    try:
        cli(prog_name="python -m bot")
    except NotUsable as error:
        if str(error):
            err.print(str(error))
        sys.exit(int(error.code if isinstance(error, CommandError) else Exit.USAGE))
    except UpscaleError as error:
        print_notice(notice_without_job(explain(error, "en"), error, "en"))  # `upscale` tells what kept its images out
        sys.exit(int(exit_code(error)))
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        err.print(f"{error.filename or 'The output'} cannot be used: {error.strerror}.")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left for it would be written at the end again
        sys.exit(int(Exit.USAGE))
