"""Where files may live: the rooms of the house, how many files a room holds, and names that may not come back."""

import ast
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_FILES = 14
MAX_LINES = 300
MAX_FUNCTION_LINES = 50

CORE = {
    "domain",
    "ports",
    "jobs",
    "accounts",
    "budgets",
    "presentation",
    "images",
    "upscalers",
    "storage",
    "engine",
    "net",
}
ADAPTER = {"connection", "inbound", "outbound", "views", "setup"}
BOT = {"cli", "http", "observability"}

VAGUE = frozenset(
    """desk rush found notes through place people lane halts janitor feed silent book line gate answer answers
    own_commands quiet_log members follow access repeats incidents spend finish ending tools service_desk utils helpers
    misc common
    """.split()  # noqa: SIM905
)
"""Names of files that say nothing in the field's terms."""


def _modules(folder: str) -> list[Path]:
    return [p for p in sorted((ROOT / folder).rglob("*.py")) if "__pycache__" not in p.parts]


def _folders(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir() if p.is_dir() and p.name != "__pycache__"}


def test_every_package_has_its_rooms_and_no_others() -> None:
    assert _folders(ROOT / "core") == CORE
    assert _folders(ROOT / "bot") == BOT
    for adapter in (ROOT / "adapters").iterdir():
        if adapter.is_dir() and adapter.name != "__pycache__":
            assert _folders(adapter) <= ADAPTER, adapter.name
            assert _folders(adapter) >= ADAPTER - {"setup"}, adapter.name


@pytest.mark.parametrize("folder", ["core", "adapters"])
def test_no_file_lies_loose(folder: str) -> None:
    assert {p.name for p in (ROOT / folder).glob("*.py")} == {"__init__.py"}


def test_an_adapter_keeps_only_its_entrance_outside_the_rooms() -> None:
    allowed = {"__init__.py", "adapter.py", "settings.py", "context.py"}
    for adapter in (ROOT / "adapters").iterdir():
        if adapter.is_dir() and adapter.name != "__pycache__":
            assert {p.name for p in adapter.glob("*.py")} <= allowed, adapter.name


@pytest.mark.parametrize("package", ["core", "adapters", "bot"])
def test_no_folder_is_crowded(package: str) -> None:
    count = Counter(p.parent.relative_to(ROOT).as_posix() for p in _modules(package))
    assert {folder: n for folder, n in count.items() if n > MAX_FILES} == {}


@pytest.mark.parametrize("package", ["core", "adapters", "bot", "tests"])
def test_no_file_is_long(package: str) -> None:
    assert [p.name for p in _modules(package) if len(p.read_text().splitlines()) > MAX_LINES] == []


@pytest.mark.parametrize("package", ["core", "adapters", "bot"])
def test_no_function_is_long(package: str) -> None:
    nodes = ((p, node) for p in _modules(package) for node in ast.walk(ast.parse(p.read_text())))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = ((p, node, (node.end_lineno or 0) - node.lineno + 1) for p, node in nodes if isinstance(node, kinds))
    assert [f"{p.name}: {node.name}: {lines}" for p, node, lines in found if lines > MAX_FUNCTION_LINES] == []


@pytest.mark.parametrize("package", ["core", "adapters", "bot"])
def test_every_file_name_says_what_is_inside(package: str) -> None:
    assert [p.relative_to(ROOT).as_posix() for p in _modules(package) if p.stem in VAGUE] == []


def test_the_tests_mirror_the_rooms() -> None:
    assert _folders(ROOT / "tests" / "core") <= CORE
    assert {p.name for p in (ROOT / "tests" / "core").glob("*.py")} == {"__init__.py", "conftest.py"}
    known = {"attacks", "core", "adapters", "bot", "emulators", "fakes", "chaos", "fuzz", "tools"}
    assert _folders(ROOT / "tests") == known
