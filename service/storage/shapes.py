"""What shape a text has: a few things cheap to read, whose shares tell when comments change.

Pure. A shape is a name and the step that a text is on; every text is on one step of each. They say
nothing of whether a comment is wanted.
"""

import re
from bisect import bisect_right

from model.links import links_in

LENGTHS = (0, 20, 80, 320, 1280)
"""Where the steps of a text's length begin, in characters."""

MOST_LINKS = 2
"""The last step is of so many links or more."""

LOOKED_AT = 2000
"""Characters that links and numbers are looked for in: enough to tell, and bounds the cost."""

SHAPES = ("length", "links", "number")

# Of a telephone or an account, as people write it: eight digits with little between them.
_NUMBER = re.compile(r"(?:\d[ .()\-]{0,2}){7}\d")


def shapes_of(text: str) -> tuple[tuple[str, str], ...]:
    """The step of each of `SHAPES`: where a length's begins, how many links, numbers 0 or 1."""
    start = text[:LOOKED_AT]
    return (
        ("length", str(LENGTHS[bisect_right(LENGTHS, len(text)) - 1])),
        ("links", str(min(MOST_LINKS, len(links_in(start))))),
        ("number", str(int(_NUMBER.search(start) is not None))),
    )
