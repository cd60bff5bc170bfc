"""What is kept: jobs, money, and small state, on SQLite or PostgreSQL through SQLAlchemy Core."""
