"""The HTTP edge: wire forms in, problems and verdicts out. Decides nothing."""
