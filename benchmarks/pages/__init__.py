"""README.md and pages of docs, filled with tables from committed results; a report is in the folder of its program."""
