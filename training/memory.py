"""How much memory a training takes, and so how many may work and how many fits walk at once.

The figures are of resident memory as Linux tells it, measured by `benchmarks/training.py`; those of
moving a champion by the same with --store.
"""

from model.decision import LabelledExample

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


MOVING = 370_000_000
"""The process that moves a champion, without its labels."""

MOVES = 330_000_000
"""Each process that fits for it."""

LABEL, LETTER = 4_500, 70
"""A label with all that is made of it, and what each letter of its comment adds to that."""


def jobs_to_move(wanted: int, memory: int) -> int:
    """How many may fit when a champion is moved: no more than wanted, at least one."""
    return max(1, min(wanted, (memory - MOVING) // (2 * MOVES)))


def room_for_labels(jobs: int, memory: int) -> int:
    """The bytes that labels may take beside so many processes."""
    return max(0, memory - MOVING - jobs * MOVES)


def size_of(label: LabelledExample) -> int:
    """About how many bytes a label takes while a champion is moved by it."""
    return LABEL + LETTER * len(label.text)
