"""The one place that knows a parameter: its name, range, label, and how people write it."""
