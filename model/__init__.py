"""The domain: what a submission is, how it is judged, what a model is. No I/O, no service."""
