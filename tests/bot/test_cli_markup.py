"""Text of others in a terminal: printed verbatim, never interpreted."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.cli.console import err, out, print_finding, print_notice, styled, table_of
from core.ports import Finding
from core.presentation import Notice
from tests.bot.cli_kit import Commands

STRANGE = "[red]x[/] [link=https://evil.example]y[/link] [/] :smile:"
CONTROLS = "\x1b]0;title\x07\x1b[31m\x9b2J\r\u202e"


@pytest.mark.parametrize(
    "show",
    [
        out.print,
        err.print,
        lambda text: out.print(styled(text, (text, "bold"))),
        lambda text: out.print(styled((text, "dim"))),
        lambda text: out.print(table_of((text,), [(text,)])),
        lambda text: print_notice(Notice(text, advice=text, reference=text), text),
        lambda text: print_finding(Finding("problem", text, text), out),
    ],
)
def test_text_of_others_is_neither_markup_nor_a_command_to_the_terminal(
    show: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    show(STRANGE + CONTROLS)
    printed = "".join(capsys.readouterr())
    assert STRANGE in printed
    assert not set(printed) & set(CONTROLS) - set("];title[31m2J0")


def test_names_and_words_from_outside_pass_through_every_command_as_they_are(folder: Path, bot: Commands) -> None:
    name = "[red]cat[bold] :x:.png"
    (folder / "cat.png").rename(folder / name)
    done = bot("upscale", name, "2x", "seed=7")
    assert (done.code, name in done.out) == (0, True), done
    for words in (("job", STRANGE), ("allow", STRANGE), ("usage", STRANGE), ("upscale", name, f"factor={STRANGE}")):
        done = bot(*words)
        assert (done.code, "[red]" in done.err) == (2, True), done


def test_a_warning_about_a_setting_is_shown_as_it_is(bot: Commands) -> None:
    done = bot("usage", **{"ALLOWED_WORKSPACE[/]": "x"})
    assert "ALLOWED_WORKSPACE[/] is not a setting" in done.err


def test_json_for_programs_is_whole(folder: Path, bot: Commands) -> None:
    name = "[red]\x1b[31m.png"
    (folder / "cat.png").rename(folder / name)
    assert json.loads(bot("upscale", name, "--json").out)["input"] == name
