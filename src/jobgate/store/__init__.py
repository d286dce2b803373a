"""Memory: every job, on SQLite today."""
