"""The application: reads the environment, wires core and adapters together, and runs them."""
