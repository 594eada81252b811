"""Handwritten digits, in each framework."""
