"""The project's own comments, which come with it, for a fit to rehearse what it must not forget.

Nobody posted them (`training/texts/README.md`). An installation has nothing else of what the
shipped champion was fitted to.
"""

from pathlib import Path

from model.decision import LabelledExample
from training.examples import read_examples

TEXTS = Path(__file__).parent / "texts"

SUPPORTING = 8
"""Every eighth, a thousand, backs the fits that say whom to rely on and which labels are wrong."""


def own_texts() -> list[LabelledExample]:
    """All of them, 8,200 rows with labels of either head, in order of files and lines."""
    return [example for file in sorted(TEXTS.glob("*.jsonl")) for example in read_examples(file)]


def topic_of(example: LabelledExample) -> str:
    """What is held out with one: all of its topic, as spam and a reader's warning share brands."""
    topic = example.extra.get("topic")
    return f"{example.source}/{topic if isinstance(topic, str) else example.group}"
