"""The write side: records sessions to SQLite with nothing but the standard library."""
