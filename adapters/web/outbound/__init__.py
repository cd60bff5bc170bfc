"""The job's card, its files, and errors as HTTP answers."""
