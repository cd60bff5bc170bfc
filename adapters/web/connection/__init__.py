"""Who may talk to the page, and the event streams."""
