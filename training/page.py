"""How a report becomes one file that loads nothing and runs nothing.

Styles and drawings stand in the page, no script does, and the page's own policy names its one
style sheet by digest and forbids the rest: what might slip in is dead. Every value is escaped
unless it is markup of our own making.
"""

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from training.wording import NO_BREAK, Words

_TEMPLATES = Path(__file__).parent / "templates"


def rendered(template: str, words: Words, told: Mapping[str, object]) -> str:
    """The page that a template makes of what it is told."""
    style = (_TEMPLATES / "page.css").read_text("utf-8")
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        words=words,
        style=Markup(style),  # our own file
        style_hash=b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        **told,
    )


def percent_ticks(words: Words, shares: Sequence[float]) -> tuple[tuple[float, str], ...]:
    """Ticks of an axis of shares, written as percentages."""
    return tuple(
        (share, f"{words.number(100 * share, _places(share))}{NO_BREAK}%") for share in shares
    )


QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


def _places(share: float) -> int:
    return 2 if 0 < share < 0.001 else 1 if 0 < share < 0.01 else 0


def of_1000(share: float, words: Words, *, signed: bool = False) -> str:
    """A share as so many of a thousand."""
    amount = 1000 * share
    decimals = 0 if abs(amount) >= 10 or amount == 0 else 1
    return words.change(amount, decimals) if signed else words.number(amount, decimals)
