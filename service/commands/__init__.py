"""The operator's commands: run the service, keep sites, read the queue, take labels out.

Each is imported from its own module: `duyet serve` starts without the others.
"""
