"""How right a model is on groups it has not seen, beside what peers reach on the same data."""
