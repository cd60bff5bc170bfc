"""What only SQLite needs: a writer of its own, and a look at its version."""
