"""One reading of a traced program, for the tools that ask how values flow through it."""
