"""Draw cards, modals and the Home tab as Block Kit. No other folder builds messages."""
