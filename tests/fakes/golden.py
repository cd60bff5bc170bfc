"""Golden files: what was drawn, looked at once and kept. `make golden` writes them anew; look at the diff then."""

import json
import os
from pathlib import Path
from typing import Any


def compare(folder: Path, drawn: dict[str, Any]) -> None:
    """Hold every drawing against `folder/<name>.json`; with GOLDEN=write in the environment, write them instead."""
    made = {name: json.dumps(data, indent=1, ensure_ascii=False) + "\n" for name, data in drawn.items()}
    if os.environ.get("GOLDEN") == "write":
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.json"):
            old.unlink()
        for name, text in made.items():
            (folder / f"{name}.json").write_text(text, encoding="utf-8")
    kept = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    assert sorted(kept) == sorted(made), "run `make golden`"
    for name, text in made.items():
        assert text == kept[name], f"{name} is drawn differently; if that is right, run `make golden`"
