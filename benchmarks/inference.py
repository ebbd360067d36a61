"""What judging a comment costs on one core, beside scikit-learn's usual pipeline in the same run.

    python -m benchmarks.inference

Judging is all of it: facts, rules, both heads, spans, outcome. scikit-learn's pipeline (TF-IDF
of character n-grams, 2 to 5, within words; logistic regression) gives one score and no more. Both
work on the texts in training/texts and on one core. Times are the processor's, not the clock's. A
machine that others use makes even those vary by a factor of two, so that the same loop of NumPy
calls runs before each: how many loops a thing takes is what can be compared between two runs.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from threadpoolctl import threadpool_limits

import training
from model.classifier import HEADS, Classifier, Explained
from model.decision import Decision, RejectReason
from model.experience import Decided, Experience
from model.facts import gather
from model.features import Spec, Texts
from model.judging import Case, judge
from model.outcome import Outcome
from model.policy import Policy
from model.promise import ANY, RISKS, Kept, Promise
from model.registry import CHAMPION, SHIPPED, Registry, RegistryError
from model.site_layer import Anchors
from model.submission import Author, History, Submission
from training.examples import read_rows

TEXTS = Path(training.__file__).parent / "texts"
CHARACTERS = 300
BATCH = 256
ROUNDS = 15
LEARNT = 300
KIB = 1024
LONGEST = 64 * KIB

# What each pattern could be led astray by, repeated to any length.
ADVERSARIAL = (
    *("a", "1", "1 ", "a b ", "a.", "a-", "abc12", ". ", "@", "a@", "a@b.", "#", "$1", "(", ")"),
    *("<a ", "<a href=", "<a href='", "<", "[url=", "[", "http://", "http:", "www.", "x.vn/"),
    *("&amp;", "&#64;", "%25", "%40", '"', "•", "on", "onload ", "javascript", "ế", "e\u0323"),
    *(
        "\u0301\u0316",
        "\u200b",
        "\ufe0f",
        "\u05d0\u200f",
        "ｓ",
        "𝐬",
        "ﬃ",
        "漢",
        "\n",
        "!",
        "👨\u200d",
    ),
)


@dataclass(frozen=True, slots=True)
class Times:
    """Microseconds of one call: the median over texts of each one's fastest and usual round.

    `loops` is how many of `_loop` the usual round takes.
    """

    fastest: float
    usual: float
    loops: float


def main() -> None:
    """Print all tables."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    classifier = _classifier()
    texts, spam = _read_texts()
    pipeline = _fitted(texts, spam)
    print("| what | goal µs | fastest µs | median µs | loops | scikit-learn loops | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for language in ("vi", "en"):
        pieces = _pieces([text for name, text in texts if name.startswith(language)])
        _print_comparison(language, pieces, classifier, pipeline)
    _print_parts(_pieces([text for name, text in texts if name.startswith("vi")]), classifier)
    experience = _learnt(texts, spam, classifier)
    for language in ("vi", "en"):
        pieces = _pieces([text for name, text in texts if name.startswith(language)])
        _print_shares(language, pieces, classifier, experience)
    _print_lengths("vi", _long_text(texts, "vi"), classifier)
    _print_lengths("en", _long_text(texts, "en"), classifier)
    _print_adversarial(classifier)
    _print_size(classifier)


def _classifier() -> Classifier:
    """The shipped champion, or where it is for other features, weights drawn at random."""
    try:
        return Registry(SHIPPED).load(CHAMPION)
    except RegistryError as problem:
        print(f"weights are drawn at random: {problem}\n")
        spec = Spec()
        drawn = np.random.default_rng(3).normal(0, 1, (1 << spec.bits, len(HEADS)))
        kept = Kept(5_000, 50, (0.6,) * len(RISKS), (0.7,) * len(RISKS), (0.9,) * len(RISKS))
        promise = Promise({ANY: kept})
        return Classifier("random", spec, drawn.astype(np.float32), np.zeros(len(HEADS)), promise)


def _read_texts() -> tuple[list[tuple[str, str]], list[bool]]:
    found = [
        (path.stem, row.text) for path in sorted(TEXTS.glob("*.jsonl")) for row in read_rows(path)
    ]
    return found, [name.endswith("spam") for name, _ in found]


def _fitted(texts: Sequence[tuple[str, str]], spam: Sequence[bool]) -> Pipeline:
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    pipeline = make_pipeline(vectorizer, LogisticRegression(max_iter=300))
    return pipeline.fit([text for _, text in texts], spam)


def _pieces(texts: Sequence[str]) -> list[str]:
    """`BATCH` different comments of `CHARACTERS` characters."""
    joined = " ".join(texts)
    return [joined[at * CHARACTERS :][:CHARACTERS] for at in range(BATCH)]


def _long_text(texts: Sequence[tuple[str, str]], language: str) -> str:
    return " ".join(text for name, text in texts if name.startswith(language))[:LONGEST]


def _cases(texts: Sequence[str]) -> list[Case]:
    policy = Policy()
    version = policy.version
    return [
        Case(
            Submission(
                text,
                Author("Nguyễn Văn Nam", f"reader.{at}@mail-{at}.com", "https://example.com/blog"),
            ),
            History(),
            policy,
            version,
        )
        for at, text in enumerate(texts)
    ]


_NUMBERS = np.arange(300, dtype=np.uint64)


def _loop() -> None:
    numbers = _NUMBERS
    for _ in range(100):
        numbers = numbers * _NUMBERS


def _cpu_us(call: Callable[[], object]) -> float:
    started = time.process_time_ns()
    call()
    return (time.process_time_ns() - started) / 1000


def _times(calls: Sequence[Callable[[], object]], rounds: int = ROUNDS) -> Times:
    fastest, usual, loops = [], [], []
    for call in calls:
        call()
        both = [(_cpu_us(_loop), _cpu_us(call)) for _ in range(rounds)]
        taken = [ours for _, ours in both]
        fastest.append(min(taken))
        usual.append(statistics.median(taken))
        loops.append(statistics.median(ours / loop for loop, ours in both))
    return Times(*map(statistics.median, (fastest, usual, loops)))


def _print_comparison(
    language: str, pieces: Sequence[str], classifier: Classifier, pipeline: Pipeline
) -> None:
    for name, goal, size in (("one comment", 250, 1), (f"of {BATCH} in a batch", 120, BATCH)):
        texts = [pieces[at : at + size] for at in range(60 if size == 1 else 1)]
        batches = [_cases(part) for part in texts]
        ours = _times([partial(judge, batch, classifier) for batch in batches])
        theirs = _times([partial(pipeline.predict_proba, part) for part in texts], rounds=5)
        print(
            f"| {language}, {name} | {goal} | {ours.fastest / size:.0f} | {ours.usual / size:.0f} "
            f"| {ours.loops / size:.1f} | {theirs.loops / size:.1f} "
            f"| {ours.loops / theirs.loops:.2f} |"
        )


def _print_parts(pieces: Sequence[str], classifier: Classifier) -> None:
    """What the steps of judging one comment take."""
    cases = _cases(pieces[:30])
    facts = [gather(case.submission) for case in cases]
    texts = [one.texts for one in facts]
    steps: dict[str, list[Callable[[], object]]] = {
        "gather": [partial(gather, case.submission) for case in cases],
        "n-grams, signs and log-odds": [partial(classifier.log_odds, [one]) for one in texts],
        "with spans": [partial(classifier.explain, [one]) for one in texts],
        "judge, all of it": [partial(judge, [case], classifier) for case in cases],
    }
    print("\n| step, Vietnamese, one comment | fastest µs | loops |\n| --- | --- | --- |")
    for name, calls in steps.items():
        taken = _times(calls)
        print(f"| {name} | {taken.fastest:.0f} | {taken.loops:.1f} |")


@dataclass(frozen=True, slots=True)
class _Ready(Classifier):
    """A classifier that was asked before: what is left is all but the classifier."""

    said: Mapping[str, Explained] = field(default_factory=dict)

    @classmethod
    def of(cls, classifier: Classifier, cases: Sequence[Case]) -> "_Ready":
        texts = [gather(case.submission).texts for case in cases]
        said = classifier.explained(texts, rows=True)
        own = {f.name: getattr(classifier, f.name) for f in fields(Classifier) if f.init}
        return cls(**own, said={t.content: e for t, e in zip(texts, said, strict=True)})

    def explained(self, batch: Sequence[Texts], *, rows: bool = False) -> list[Explained]:
        return [self.said[texts.content] for texts in batch]


def _learnt(
    texts: Sequence[tuple[str, str]], spam: Sequence[bool], classifier: Classifier
) -> Experience:
    """What a site has learnt from `LEARNT` decisions on texts of both kinds."""
    experience = Experience(classifier, Anchors.of(classifier.spec), Policy())
    chosen = np.random.default_rng(3).permutation(len(texts))[:LEARNT].tolist()
    decided = [
        Decided(change, f"c-{at}", Submission(texts[at][1]), _decision(spam=spam[at]))
        for change, at in enumerate(chosen, 1)
    ]
    for prepared in experience.prepared(decided):
        experience.learn(prepared)
    return experience


def _decision(*, spam: bool) -> Decision:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    if spam:
        return Decision(Outcome.REJECT, RejectReason.SPAM, "ann", at)
    return Decision(Outcome.ACCEPT, None, "ann", at)


def _print_shares(
    language: str, pieces: Sequence[str], classifier: Classifier, experience: Experience
) -> None:
    """What judging is made of, one comment alone and each of a batch, and a learnt site adds."""
    cases = _cases(pieces)
    learnt = [replace(case, experience=experience) for case in cases]
    ready = _Ready.of(classifier, cases)
    facts = {id(case): gather(case.submission) for case in (*cases, *learnt)}

    def gathered(batch: Sequence[Case]) -> object:
        return [gather(case.submission, case.history) for case in batch]

    def explained(batch: Sequence[Case], *, rows: bool = False) -> object:
        return classifier.explained([facts[id(case)].texts for case in batch], rows=rows)

    def twins(batch: Sequence[Case]) -> object:
        return [experience.twin(facts[id(case)]) for case in batch]

    def added(batch: Sequence[Case]) -> object:
        rows = [ready.said[case.submission.content].row for case in batch]
        return [experience.layer.added(row) for row in rows if row is not None]

    steps: dict[str, tuple[Callable[[Sequence[Case]], object], Sequence[Case]]] = {
        "gather": (gathered, cases),
        "classify": (explained, cases),
        "all but classify": (lambda batch: judge(batch, ready), cases),
        "judge, all of it": (lambda batch: judge(batch, classifier), cases),
        "learnt: classify, with rows": (partial(explained, rows=True), learnt),
        "learnt: twin": (twins, learnt),
        "learnt: added": (added, learnt),
        "learnt: all but classify": (lambda batch: judge(batch, ready), learnt),
        "learnt: judge, all of it": (lambda batch: judge(batch, classifier), learnt),
    }
    trust = f"the layer's trust is {experience.layer.trust:.1f}"
    print(f"\n{language}, learnt from {experience.lessons} decisions, {trust}")
    print("| share | one comment: fastest µs | loops | in a batch: fastest µs each | loops |")
    print("| --- | --- | --- | --- | --- |")
    for name, (step, of) in steps.items():
        one = _times([partial(step, [case]) for case in of[:30]])
        many = _times([partial(step, of)])
        print(
            f"| {name} | {one.fastest:.0f} | {one.loops:.1f} "
            f"| {many.fastest / BATCH:.0f} | {many.loops / BATCH:.1f} |"
        )


def _print_lengths(language: str, text: str, classifier: Classifier) -> None:
    """Milliseconds by length, each after the factor to the length before: 2 is linear."""
    taken = [_judging_ms(text[: size * KIB], classifier, 9) for size in (8, 16, 32, 64)]
    factors = ", ".join(f"{b / a:.2f}" for a, b in pairwise(taken))
    shown = ", ".join(f"{ms:.1f}" for ms in taken)
    print(f"\n{language}: 8, 16, 32, 64 Ki characters in {shown} ms (goal of the last: 20)")
    print(f"each to the one before: {factors} (linear: 2)")


def _judging_ms(text: str, classifier: Classifier, rounds: int) -> float:
    case = _cases([text])
    return _times([partial(judge, case, classifier)], rounds).fastest / 1000


def _print_adversarial(classifier: Classifier) -> None:
    """What takes longest for its length, and what grows fastest with it."""
    found = []
    for unit in ADVERSARIAL:
        text = (unit * LONGEST)[:LONGEST]
        short = _judging_ms(text[: LONGEST // 4], classifier, 4)
        found.append((_judging_ms(text, classifier, 3), short, unit))
    print("\n64 Ki characters of one thing repeated, the five slowest and the five that grow most:")
    by_growth = sorted(found, key=lambda one: one[0] / one[1], reverse=True)
    for long, short, unit in (*sorted(found, reverse=True)[:5], *by_growth[:5]):
        print(f"{unit!a:>16}: {long:6.1f} ms, {long / short:.1f} times 16 Ki (linear: 4)")


# Each prints the resident memory of a process that does only this, in MB.
_RESIDENT = """
import os
print(int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6)
"""
_PROCESSES = {
    "imports NumPy": "import numpy\n",
    "loads the model and judges 100 comments": """
from model.judging import offline_judge
from model.submission import Submission
offline_judge(None, None).check([Submission(f"Xin chào các bạn {n} " * 12) for n in range(100)])
""",
}


def _print_size(classifier: Classifier) -> None:
    if classifier.version == "random":
        return
    version = Registry(SHIPPED).resolve(CHAMPION)
    size = sum(path.stat().st_size for path in (SHIPPED / "versions" / version).iterdir())
    print(f"\nthe model on disk: {size / 1e6:.1f} MB (goal: 20)")
    for name, program in _PROCESSES.items():
        done = subprocess.run(
            [sys.executable, "-c", program + _RESIDENT], capture_output=True, text=True, check=True
        )
        print(f"resident memory of a process that {name}: {float(done.stdout):.0f} MB")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
