"""The application: reads the environment, wires core and adapters together, and runs them."""

from __future__ import annotations

VERSION = "0.2.0"
