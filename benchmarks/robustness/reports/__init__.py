"""What a page shows of each trial."""
