"""Hostile texts through the compiled pass, in numbers: a wrong access ends the process.

    python -m tests.fuzz_kernel SHORT LONG [SEED]

Reads so many short texts, and so many of up to 65,536 characters, in every way there is.
`tests/test_kernel.py` runs it with a library that watches every access.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import numpy as np

from model.classifier import Classifier
from model.facts import gather
from model.features import Occurrences, Spec, Texts
from model.language import language_of
from model.letters import letters_of, read
from model.spans import runs
from model.submission import Author, Submission
from tests.judging_cases import ODD, PIECES, SENTENCE, a_classifier

LONGEST = 65_536
SHORTEST = Spec(bits=10, chars=(1, 64), words=(1, 5), marked=(), worst_part=0.5)
SPECS = (
    replace(SHORTEST, bits=12, chars=(2, 4, 6), words=(1, 2), marked=(1,), worst_part=1.0),
    SHORTEST,
    replace(SHORTEST, bits=14, chars=(), words=(), marked=(3,), worst_part=0.0),
)
ALPHABETS: tuple[tuple[str, ...], ...] = (
    tuple(ODD + "aeđệ ơ0"),
    tuple(PIECES),
    (*PIECES, *[SENTENCE] * 40),
    tuple("0134567@$!.,- aAbBcC\n"),
    ("\u0301", "\u0316", "\u0f73", "a", "\u1161", "\u1100"),
    ("\ufdfa", "ﬃ", "½", "㌀", "⑽", "ﷻ", "a"),
    ("漢", "字", "한", "a", " ", "。"),
    ("😀", "☎", ". ", "a" * 25, "!"),
    (" ", "\n", "\u3000", "\u200b"),
    ("http", "s", "://", "www.", "<", ">", "@", "/", "x", " ", "[url", "]", "<a", "\u0130"),
    ("my ", "channel ", "của ", "em ", "đăng ", "ký ", "please", ". ", "a" * 65, "e\u0301"),
)


def hostile(draw: Random, longest: int) -> str:
    """A text of one of the alphabets, or of any code points at all, lone surrogates too."""
    size = draw.randrange(longest + 1)
    which = draw.randrange(len(ALPHABETS) + 1)
    if which == len(ALPHABETS):
        return "".join(chr(draw.randrange(0x110000)) for _ in range(size))
    return "".join(draw.choices(ALPHABETS[which], k=size))[:longest]


def submissions(draw: Random, longest: int) -> Iterator[Texts]:
    """Submissions of which any field may be empty."""
    while True:
        content, name, url = (
            hostile(draw, length) if draw.random() < 0.7 else "" for length in (longest, 20, 30)
        )
        yield Texts(content, name, url, ("links:1",) * draw.randrange(3))


def read_all(classifier: Classifier, batch: list[Texts]) -> None:
    """Read a batch in every way there is, and look at where things are said to stand."""
    for one, texts in zip(classifier.explained(batch, rows=True), batch, strict=True):
        lengths = {"content": texts.content, "author.name": texts.name, "author.url": texts.url}
        assert all(0 <= s.start < s.end <= len(lengths[s.field]) for s in one.spans)
        assert one.row is not None
        assert one.row[0].size == one.row[1].size
        assert np.isfinite(one.log_odds).all()
    occurring = Occurrences.of(batch, classifier.spec)
    assert (occurring.starts < occurring.ends).all()
    classifier.contributions(batch[0])
    for texts in batch:
        gather(Submission(texts.content, Author(name=texts.name, url=texts.url)))
        language_of(texts.name)
    for text in filter(None, (batch[0].content, batch[0].url)):
        letters_of([text, "a", text], [False, True, True])
        read(text)
        runs([text], np.sin(np.arange(len(text), dtype=np.float64))[np.newaxis])


def main(short: int, long: int, seed: int = 1) -> None:
    """Read so many submissions of either kind."""
    draw = Random(seed)
    classifiers = [a_classifier(spec=spec) for spec in SPECS]
    few, many = submissions(draw, 40), submissions(draw, LONGEST)
    done = 0
    while done < short:
        batch = [next(few) for _ in range(min(draw.choice((1, 2, 30)), short - done))]
        read_all(draw.choice(classifiers), batch)
        done += len(batch)
    for _ in range(long):
        read_all(draw.choice(classifiers), [next(many), next(few)])
    print(f"read {short} short submissions and {long} long ones")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
