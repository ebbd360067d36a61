"""What a model was fitted to, by source: rows, labels, tier and a digest."""

import hashlib
from collections import Counter
from typing import Any

from model.decision import LabelledExample
from training.recipes import TIERS

OWN_DATA = "own"
"""The tier of a source that no recipe knows: the user's."""


class Digests:
    """Counts rows by source as they pass, and digests them.

    The digest is SHA-256 over a source's rows as canonical JSON lines, in the order they passed.
    """

    def __init__(self) -> None:
        self._labels: dict[str, Counter[str]] = {}
        self._digests: dict[str, Any] = {}

    def noted(self, example: LabelledExample, line: bytes) -> bytes:
        """Note an example with its line, and give the line back."""
        self._labels.setdefault(example.source, Counter())[example.label.word] += 1
        self._digests.setdefault(example.source, hashlib.sha256()).update(line)
        return line

    def body(self) -> list[dict[str, Any]]:
        """A plain object for each source, by name."""
        return [
            {
                "name": source or "unnamed",
                "rows": counts.total(),
                "labels": dict(sorted(counts.items())),
                "tier": TIERS.get(source, OWN_DATA),
                "sha256": self._digests[source].hexdigest(),
            }
            for source, counts in sorted(self._labels.items())
        ]
