"""The database: connections, and how long anything may wait for it."""
