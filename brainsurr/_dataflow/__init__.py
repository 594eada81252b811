"""Analyse how values flow through a traced program."""
