"""Drills: what operators really meet, each with the figures printed."""
