"""The application: reads the environment, wires core and adapters together, and runs them."""

VERSION = "0.2.0"
