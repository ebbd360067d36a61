"""The schema's history, a file for each step; run by `service.storage.schema`."""
