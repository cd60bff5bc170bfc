"""The audit of the locked packages, also where no advisory service answers."""

import json
from pathlib import Path

import pytest

from tests.tools import audit


def test_a_locked_version_with_a_known_hole_is_found_and_a_mended_one_is_not() -> None:
    text = "aiohttp==3.9.1 \\\n    --hash=sha256:0\nh11==0.16.0 ; python_version < '4' \\\nunknown==1.0\n"
    known = {"aiohttp": {"CVE-1": "3.10.11", "CVE-0": "3.9.0"}, "h11": {"CVE-2": "0.16.0"}}
    assert audit.by_list(text, known) == ["aiohttp 3.9.1: CVE-1, mended in 3.10.11"]


def test_every_package_of_the_list_is_locked_and_has_no_known_hole() -> None:
    known = json.loads(audit.KNOWN.read_text())["fixed_in"]
    text = (audit.ROOT / "requirements.lock").read_text()
    assert known.keys() <= {name.lower() for name, _ in audit.locked(text)}
    assert audit.by_list(text, known) == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("import sys; sys.exit('no network')", ([], 0)),
        ('print(\'{"dependencies": [{"name": "a", "skip_reason": "not found"}]}\')', ([], 0)),
        (
            'print(\'{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1"}]}]}\')',
            (["a 1: CVE-1"], 1),
        ),
    ],
)
def test_an_advisory_service_is_believed_and_its_absence_is_no_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, told: tuple[list[str], int]
) -> None:
    program = tmp_path / "pip-audit"
    program.write_text(f"#!/usr/bin/env python3\n{answer}\n")
    program.chmod(0o755)
    monkeypatch.setattr(audit.sys, "executable", str(tmp_path / "python"))
    assert audit.by_service(tmp_path / "any.lock") == told
