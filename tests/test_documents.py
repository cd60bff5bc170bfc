"""Documents name only what exists: files, commands of the bot, targets of make."""

import re
import runpy
from pathlib import Path

import pytest
import typer
import yaml  # type: ignore[import-untyped]

from bot.cli.main import cli

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").glob("*.md"),
    ROOT / "deploy" / "README.md",
    ROOT / "benchmarks" / "README.md",
]
NAMES = [path.relative_to(ROOT).as_posix() for path in sorted(DOCUMENTS)]
COMMANDS = set(typer.main.get_group(cli).commands)


@pytest.mark.parametrize("name", NAMES)
def test_every_link_to_a_file_leads_somewhere(name: str) -> None:
    text = (ROOT / name).read_text()
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", text)
    assert [link for link in links if not ((ROOT / name).parent / link).exists()] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "CHANGELOG.md"])
def test_every_path_that_is_named_exists(name: str) -> None:
    text = (ROOT / name).read_text()
    paths = re.findall(r"`((?:core|adapters|bot|tests|deploy|docs|benchmarks)/[\w./-]+)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_attack_that_is_named_is_a_test() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)
    assert [name for path, name in named if f"def {name}(" not in (ROOT / path).read_text()] == []
    assert all(f"| **{point} " in text for point in range(1, 10))
    rows = text.partition("| tried |")[2].partition("###")[0].splitlines()[2:]
    assert [row for row in rows if row.startswith("| ") and "**" not in row and "::test_" not in row] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "CHANGELOG.md"])
def test_every_command_that_is_named_exists(name: str) -> None:
    text = (ROOT / name).read_text()
    commands = {word for words in re.findall(r"python -m bot ([a-z|-]+)", text) for word in words.split("|")}
    assert commands - COMMANDS == set()
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    named = set(re.findall(r"`make ([a-z-]+)`", text))
    assert named - targets == set()


def test_every_command_is_explained() -> None:
    text = (ROOT / "docs" / "operator.md").read_text()
    assert {command for command in COMMANDS if f"`python -m bot {command}`" not in text} == set()


def test_every_sentence_that_is_explained_is_really_said() -> None:
    """The phrases in italics of the first columns; a sentence in the code may be broken over several lines."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    phrases = re.findall(r"(?m)^\| [^|]*?\*([^*|]{12,})\*[^|]*\|", text)
    assert len(phrases) > 12
    files = [path for folder in ("adapters", "bot", "core") for path in (ROOT / folder).rglob("*.py")]
    said = re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in files))
    assert [phrase for phrase in phrases if phrase not in said] == []


def test_every_picture_is_shown_by_a_document() -> None:
    shown = "".join(page.read_text() for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    assert [picture.name for picture in (ROOT / "docs/img").iterdir() if f"img/{picture.name}" not in shown] == []


@pytest.mark.parametrize("name", [path.name for path in (ROOT / "docs").glob("*_pictures.py")])
def test_the_programs_that_draw_the_pictures_find_what_they_import(name: str) -> None:
    runpy.run_path(str(ROOT / "docs" / name), run_name="imported")


def test_every_page_is_in_the_menu_of_the_site() -> None:
    menu = (ROOT / "mkdocs.yml").read_text()
    assert [path.name for path in (ROOT / "docs").glob("*.md") if path.name not in menu] == []


def test_the_workflows_can_be_read_and_take_no_more_rights_than_they_need() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {"contents": "read"}, path.name
        assert all(job["timeout-minutes"] <= 90 for job in workflow["jobs"].values()), path.name
