"""`python -m bot`. If this Python lacks the packages, it executes the one that `make setup` made."""

import os
import sys
from pathlib import Path


def _start() -> None:
    try:
        from bot.cli.main import main
    except ModuleNotFoundError as error:
        own = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "python"
        if own.exists() and Path(sys.prefix).resolve() != own.parents[1].resolve():
            os.execv(own, [str(own), "-m", "bot", *sys.argv[1:]])  # noqa: S606  (our own interpreter, our own arguments)
        sys.exit(f"The package {error.name} is missing. Run `make setup` once, then try again.")
    main()


def start() -> None:
    try:
        _start()
    except KeyboardInterrupt:  # while the packages are imported
        sys.exit(4)  # `Exit.CANCELLED`, which may not be imported yet


if __name__ == "__main__":
    start()
