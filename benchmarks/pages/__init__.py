"""README and docs, put together."""
