"""The project's own comments, which come with it, for a fit to rehearse what it must not forget.

Nobody posted them (`training/texts/README.md`). An installation has nothing else of what the
shipped champion was fitted to.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from model.decision import LabelledExample
from model.signs import letters_as_read
from training.examples import read_examples

TEXTS = Path(__file__).parent / "texts"

SUPPORTING = 1_000
"""So many, about, back the fits that say whom to rely on and which labels are wrong."""


def own_texts() -> list[LabelledExample]:
    """All of them, 8,200 rows with labels of either head, in order of files and lines."""
    return [example for file in sorted(TEXTS.glob("*.jsonl")) for example in read_examples(file)]


def supporting(
    labelled: Iterable[LabelledExample], texts: Sequence[LabelledExample]
) -> list[LabelledExample]:
    """About `SUPPORTING` of the texts, evenly drawn, that no label is about: what a site lacks.

    A text that somebody labelled would speak of its own label.
    """
    own = {letters_as_read(example.text) for example in labelled}
    others = [text for text in texts if letters_as_read(text.text) not in own]
    return others[:: max(1, len(others) // SUPPORTING)]


def topic_of(example: LabelledExample) -> str:
    """What is held out with one: all of its topic, as spam and a reader's warning share brands."""
    topic = example.extra.get("topic")
    return f"{example.source}/{topic if isinstance(topic, str) else example.group}"
