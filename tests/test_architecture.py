"""The rules of the house, checked: who imports whom, how large things are, what may not be written."""

import ast
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.discord.outbound import errors
from tests.emulators.discord.refusals import REFUSALS
from tests.emulators.slack.wire import METHODS

ROOT = Path(__file__).parents[1]
PRODUCT = ("core", "adapters", "bot")
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50
SDKS = {
    "discord": ("discord",),
    "slack_sdk": ("slack",),
    "slack_bolt": ("slack",),
}


def _files(*folders: str, suffix: str = "*.py") -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in sorted((ROOT / folder).rglob(suffix)) if "__pycache__" not in path.parts)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


MODULES = list(_files(*PRODUCT))


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


def test_the_import_rules_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_its_own_adapter_imports_a_platforms_sdk() -> None:
    strays = [
        (_name(path), name)
        for path in MODULES
        for name in _imports(path)
        for sdk, owners in SDKS.items()
        if name.split(".")[0] == sdk and not any(path.is_relative_to(ROOT / "adapters" / owner) for owner in owners)
    ]
    assert strays == []


def test_neither_core_nor_application_names_a_platform_in_its_imports() -> None:
    strays = [(_name(p), n) for p in _files("core", "bot") for n in _imports(p) if n.startswith("adapters.")]
    assert strays == []


def _error_codes(platform: str) -> set[object]:
    """Every error code that a platform documents, and those that our adapter knows besides."""
    if platform == "slack":
        return {
            code
            for one in (METHODS["common_errors"], *(m["errors"] for m in METHODS["methods"].values()))
            for code in one
        }
    return {code for _, code in REFUSALS if code} | {
        n for n in vars(errors).values() if isinstance(n, int) and n > 9999
    }


@pytest.mark.parametrize("platform", ["discord", "slack"])
def test_a_platforms_error_codes_are_told_apart_in_one_file(platform: str) -> None:
    codes, found = _error_codes(platform), []
    for path in _files(f"adapters/{platform}"):
        if _name(path) == f"adapters/{platform}/outbound/errors.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # `reason=` is a word of the core's own errors, some of which Slack has as well.
        ours = {
            id(n)
            for key in ast.walk(tree)
            if isinstance(key, ast.keyword) and key.arg == "reason"
            for n in ast.walk(key)
        }
        for node in (n for n in ast.walk(tree) if isinstance(n, ast.expr)):
            named = isinstance(node, ast.Constant) and type(node.value) in (int, str) and node.value in codes
            compared = isinstance(node, ast.Compare) and re.search(r"\bcode_of\(|\berror\.code\b", ast.unparse(node))
            if (named and id(node) not in ours) or compared:
                found.append(f"{_name(path)}:{node.lineno} {ast.unparse(node)}")
    assert found == []


def test_files_stay_small() -> None:
    long = {_name(path): n for path in MODULES if (n := _lines(path)) > MAX_FILE_LINES}
    # Two lists of plain facts, one entry per error, read better in one piece.
    assert set(long) <= {"core/domain/errors/", "core/presentation/texts/failure_texts.py"}, long


def _lines(path: Path) -> int:
    """Lines of a file; migrations are lists of columns, and count none."""
    return 0 if "versions" in path.parts else len(path.read_text(encoding="utf-8").splitlines())


def test_functions_stay_short() -> None:
    long = [
        f"{_name(path)}:{node.lineno} {node.name}"
        for path in MODULES
        if "versions" not in path.parts  # migrations are lists of columns
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [_name(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert silent == []


def test_everything_in_a_port_says_what_it_does() -> None:
    """An implementation need not repeat it."""
    silent = [
        f"{_name(path)}:{node.lineno} {node.name}"
        for path in MODULES
        if path.parent.name == "ports"
        for node in _public(ast.parse(path.read_text(encoding="utf-8")))
        if not ast.get_docstring(node)
    ]
    assert silent == []


def _public(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Public classes and functions, and public methods of public classes."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            overload = any("overload" in ast.dump(decorator) for decorator in node.decorator_list)
            if not overload:
                yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)


FORBIDDEN = {
    "unfinished work": re.compile(r"\b(TODO|FIXME|XXX|HACK)\b"),
    "a bare type: ignore": re.compile(r"#\s*type:\s*ignore(?!\[)"),
    "a place of somebody's machine": re.compile(r"(?<![\w.])/(?:work|root|home/\w+)/"),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_unfit_is_written_anywhere(what: str) -> None:
    found = [
        f"{_name(path)}:{number}"
        for path in [*MODULES, *_files("tests", "benchmarks")]
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if FORBIDDEN[what].search(line)
    ]
    assert found == []


def test_no_test_is_skipped() -> None:
    pattern = re.compile(r"pytest\.(skip|xfail|importorskip)|mark\.(skip|skipif|xfail)\b")
    assert [
        _name(path) for path in _files("tests") if path != Path(__file__) and pattern.search(path.read_text())
    ] == []


def test_no_unfinished_function_and_no_swallowed_exception() -> None:
    found = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (isinstance(node, ast.Raise) and "NotImplementedError" in ast.dump(node)) or (
                isinstance(node, ast.ExceptHandler) and _swallows(node)
            ):
                found.append(f"{_name(path)}:{node.lineno}")
    assert found == []


def _swallows(handler: ast.ExceptHandler) -> bool:
    """`except:`, `except Exception: pass` and the like, and a CancelledError that goes no further."""
    caught = ast.dump(handler.type) if handler.type is not None else "BaseException"
    empty = all(isinstance(statement, ast.Pass | ast.Continue) for statement in handler.body)
    broad = "'Exception'" in caught or "BaseException" in caught
    return broad and empty


def test_nobody_sleeps_the_event_loop_away() -> None:
    pattern = re.compile(r"\btime\.sleep\(")
    assert [_name(path) for path in MODULES if pattern.search(path.read_text())] == []


def test_nothing_is_printed_but_by_the_command_line() -> None:
    found = [
        _name(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert found == []


def test_locks_name_no_place_to_download_from_and_pin_by_hash() -> None:
    for lock in (ROOT / "requirements.lock", ROOT / "requirements-dev.lock"):
        text = lock.read_text()
        assert "://" not in text
        assert not re.search(r"--(extra-)?index-url|--find-links", text)
        pins = re.findall(r"(?m)^[A-Za-z0-9_.\[\]-]+==\S+.*\\$", text)
        assert len(pins) == len(re.findall(r"(?m)^[A-Za-z0-9]", text)) > 20
        assert text.count("--hash=sha256:") >= len(pins)


def test_everything_the_project_needs_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    wanted = [re.match("[A-Za-z0-9_.-]+", line)[0] for line in needed]  # type: ignore[index]
    locked = {re.split(r"[=\[]", line)[0].lower().replace("_", "-") for line in _lock_lines()}
    assert [
        name
        for name in wanted
        if name.lower().replace("_", "-").replace(".", "-") not in {one.replace(".", "-") for one in locked}
    ] == []


def _lock_lines() -> list[str]:
    return [line for line in (ROOT / "requirements-dev.lock").read_text().splitlines() if line[:1].isalnum()]


def test_every_file_can_be_read_and_ends_with_a_newline() -> None:
    for path in MODULES:
        with path.open("rb") as file:
            assert list(tokenize.tokenize(file.readline))
        assert path.read_bytes().endswith(b"\n") or path.stat().st_size == 0, _name(path)
