"""How much memory a training takes, and so how many may work and how many fits walk at once.

The figures are of resident memory as Linux tells it, measured by `benchmarks/training.py`.
"""

MEMORY = 2_000_000_000
"""What a training may take unless told otherwise, in bytes."""

ITSELF = 500_000_000
"""The process that reads, adds up and fits, without what a fit takes of its own."""

PROCESS = 300_000_000
"""Each process beside it: the program, a chunk's rows and their features."""

THREAD = 150_000_000
"""Each thread of a pass: a shard, and the sum it makes."""

LEAST_MEMORY = 1_000_000_000
"""With less there is no room for one process and one fit."""


def jobs_for(wanted: int, memory: int) -> int:
    """How many may work: no more than wanted, at least one."""
    return max(1, min(wanted, (memory - ITSELF) // PROCESS))


def memory_for_fits(jobs: int, memory: int) -> int:
    """What is left for the fits themselves."""
    return memory - ITSELF - jobs * THREAD
