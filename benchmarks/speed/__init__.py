"""What brainsurr claims of its speed."""
