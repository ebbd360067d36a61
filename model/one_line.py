"""A text of somebody's as one line: a reason that is written down, a word that is looked for."""


def one_line(text: str, *, longest: int) -> str:
    """What can be seen of a text, on one line of at most `longest` characters; "" for nothing.

    Nothing that ends a line, turns its direction or takes no room, which would pass for another
    line of a list, or for a reason; databases take offence at some of it as well.
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:longest]
