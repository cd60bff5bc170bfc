"""Who may spend what, on the command line."""
