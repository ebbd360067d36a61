"""Synthetic models, texts and strategies for the tests of judging."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from model.classifier import HEADS, Classifier
from model.features import (
    FEATURES_VERSION,
    FIELDS,
    KINDS,
    Fields,
    Occurrences,
    Spec,
    Texts,
    _sign_place,
)
from model.letters import letters_of
from model.outcome import HeadThresholds, Thresholds
from model.promise import ANY, RISKS, Kept, Promise
from model.registry import Manifest
from model.signs import CONTENT_SIGNS

SMALL = Spec(bits=12)
THRESHOLDS = HeadThresholds(Thresholds(0.6, 0.9), Thresholds(0.7, 2.0))


def a_promise(at: HeadThresholds = THRESHOLDS) -> Promise:
    """The same thresholds whatever the risk, in Vietnamese, English and what is neither."""
    same = [
        (threshold,) * len(RISKS)
        for threshold in (at.spam.queue_at, at.toxicity.queue_at, at.spam.reject_at)
    ]
    return Promise(dict.fromkeys((ANY, "en", "und", "vi"), Kept(5_000, 50, *same)))


# Every kind of character that has broken a text function somewhere.
ODD = "\x00\x01\x1b\x7f\x85\xad\u0130\u0131\u0344\u0345\u0f73\u0958\u09be\u1100\u1161\u11a8"
ODD += "\u200b\u200d\u2028\u202e\u2800\u3164\ud800\udfff\ufb03\ufdfa\ufe0f\ufeff\uffff"
ODD += "\U0001d42c\U0001f3f4\U000e0067\U0010ffff@＠%&.<>\"'/:\\"

any_text = st.one_of(
    st.text(),
    st.text(st.characters(categories=None)),  # surrogates too
    st.text(st.sampled_from(ODD + "aeđệ ơ0")),
    st.lists(
        st.sampled_from(
            [
                "slot88 ",
                "http://x.vn/a ",
                "nam@x.vn",
                "<a href=",
                "ＳＬＯＴ",
                "e\u0323\u0302",
                "@",
                "\n",
            ]
        )
    ).map("".join),
)


# What words are made of, disguised, parted and run together with.
PIECES = [
    *"aAbBeEé0134567@$!.,- \n",
    "10",
    "123",
    "<b>",
    "</b>",
    "&#97;",
    "\u200b",
    "漢",
    "한",
    "ก",
]
PIECES += ["ClickHere", "s l o t", "v.a.y", "c4s1n0", "😀", "ﬁ", "…", "ế", "e\u0302\u0301", "\r\n"]
PIECES += ["a long sentence of words, one and more. ", "hayyy", " dot ", "com", "९", "ДОМ", "я"]

SENTENCE = (
    "this sentence speaks of nothing in particular, so that it has letters enough "
    "to be a part of a longer text by itself. "
)

wordy = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


# Names of signs of what a text says, by their places in a table that has room for all.
_NAMED = {_sign_place(name, 24): name for name in CONTENT_SIGNS}


def content_signs(text: str) -> list[str]:
    """The signs of what a text says, in order."""
    counts = letters_of([text], [False]).counts
    places, _ = Fields.of([Texts(text)]).signs(counts, 24)
    return [_NAMED[place] for place in places]


def a_table(seed: int = 3, spec: Spec = SMALL, scale: float = 1.0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(0, scale, (2**spec.bits, len(HEADS)))
    return drawn.astype(np.float32)


def a_classifier(seed: int = 3, spec: Spec = SMALL, scale: float = 1.0) -> Classifier:
    return Classifier(
        version="test",
        spec=spec,
        table=a_table(seed, spec, scale),
        bias=np.array([-0.25, -0.5]),
        promise=a_promise(),
    )


def a_manifest(**changed: object) -> Manifest:
    body = {
        "version": "",
        "features_version": FEATURES_VERSION,
        "spec": SMALL,
        "bias": (-0.25, -0.5),
        "promise": a_promise(),
        "digests": {},
    }
    return Manifest(**(body | changed))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Block:
    """One kind of features of one field: places with where each stands, and the distinct ones.

    Signs are a block without a kind, and stand nowhere.
    """

    field: str
    kind: str
    places: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    parts: np.ndarray
    distinct: np.ndarray
    value: float


def blocks_of(texts: Texts, spec: Spec) -> list[Block]:
    """The features of one submission, field by field and kind by kind, but for empty blocks."""
    occurring = Occurrences.of([texts], spec)
    values = occurring.values
    blocks = []
    for number in np.unique(occurring.blocks).tolist():
        here = occurring.blocks == number
        text, kind = divmod(number, len(KINDS))
        places = occurring.places[here]
        distinct, copies = np.unique(places, return_counts=True)
        (at,) = np.nonzero(places == distinct[0])
        blocks.append(
            Block(
                FIELDS[occurring.fields[text]],
                KINDS[kind],
                places,
                occurring.starts[here],
                occurring.ends[here],
                occurring.parts[here],
                distinct,
                float(values[here][at[0]] * copies[0]),
            )
        )
    signs = occurring.sign_places
    if signs.size:
        nowhere = np.empty(0, np.int64)
        value = spec.shares["signs"]
        blocks.append(Block("signs", "", signs, nowhere, nowhere, nowhere, np.unique(signs), value))
    return blocks
