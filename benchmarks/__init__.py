"""Measurements: each a command that prints its figures. Never run by the tests."""
