"""Labelled examples in, an evaluated model version out. Never serves."""
