"""What only a database on PostgreSQL needs."""
