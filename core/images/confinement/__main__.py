"""Confines itself as a worker does and prints, as a JSON list, what this machine enforces."""

import json
import sys
import tempfile
from pathlib import Path

from core.images.confinement import confine

if __name__ == "__main__":
    sys.stdout.write(json.dumps(confine(write=[Path(tempfile.gettempdir())])))
