"""Fill the README and the pages of docs with tables from committed results; each report is next to its program."""
