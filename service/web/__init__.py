"""The pages moderators work with: sign in, see what waits and why, decide, undo."""
