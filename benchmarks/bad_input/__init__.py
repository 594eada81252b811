"""What every public call answers to bad input."""
