"""What the package withstands."""
