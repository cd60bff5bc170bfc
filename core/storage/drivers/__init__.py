"""Fast paths to the databases: connections and statements that cost less than SQLAlchemy's own."""
