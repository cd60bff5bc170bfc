"""What only SQLite needs: a writer of its own, and old libraries."""
