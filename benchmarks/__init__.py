"""One script a claim, and what they share."""
