"""What a version's page draws of its scores, from the histogram that stands in its manifest."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from model.manifest import Manifest
from model.outcome import Head
from training.drawing import Axis, Line, histogram, plot
from training.page import QUARTERS, percent_ticks
from training.wording import Words

GOOD = {Head.SPAM: "ham", Head.TOXICITY: "clean"}
BAD = {Head.SPAM: "spam", Head.TOXICITY: "toxic"}

_LEAST = 1e-3  # where a curve's logarithmic axis begins


def scores_drawn(manifest: Manifest, words: Words) -> Iterator[dict[str, object]]:
    """How the scores of either label are spread."""
    for head, good, bad in _shares(manifest):
        top = max(*good, *bad)
        x = Axis(words("calibration.x"), 0.0, 1.0, percent_ticks(words, QUARTERS))
        y = Axis("", 0.0, top, percent_ticks(words, (0.0, top)))
        title = words(f"head.{head}")
        drawing = histogram(x, y, good, bad, f"{words('version.scores')}: {title}")
        yield {"title": title, "svg": drawing}


def curves_drawn(manifest: Manifest, words: Words) -> Iterator[dict[str, object]]:
    """What is found for what is flagged, at the edges of the bins."""
    for head, good, bad in _shares(manifest):
        flagged, found = (list(accumulate(reversed(side))) for side in (good, bad))
        points = [(max(x, _LEAST), min(y, 1.0)) for x, y in zip(flagged, found, strict=True)]
        x = Axis(
            words(f"curve.x.{head}"), _LEAST, 1.0,
            percent_ticks(words, (1e-3, 1e-2, 1e-1, 1.0)), is_log=True,
        )  # fmt: skip
        y = Axis(words("curve.y"), 0.0, 1.0, percent_ticks(words, QUARTERS))
        title = words(f"curve.{head}")
        said = f"{words('curves')}: {title}"
        lines = [Line("challenger", tuple(points), with_dots=True)]
        yield {"title": title, "svg": plot(x, y, lines, said)}


def calibration_drawn(manifest: Manifest, words: Words) -> Iterator[dict[str, object]]:
    """Scores against the truth, were there as many of either label, with the diagonal as a rule."""
    ticks = percent_ticks(words, QUARTERS)
    x, y = Axis(words("calibration.x"), 0.0, 1.0, ticks), Axis("", 0.0, 1.0, ticks)
    diagonal = Line("rule", ((0.0, 0.0), (1.0, 1.0)))
    for head, good, bad in _shares(manifest):
        points = tuple(
            ((at + 0.5) / len(good), wrong / (wrong + right))
            for at, (right, wrong) in enumerate(zip(good, bad, strict=True))
            if wrong + right > 0
        )
        title = words(f"curve.{head}")
        said = f"{words('calibration')}: {title}"
        line = Line("challenger", points, with_dots=True)
        yield {"title": title, "svg": plot(x, y, [line], said, rules=[diagonal])}


def _shares(manifest: Manifest) -> Iterator[tuple[Head, list[float], list[float]]]:
    """Of each head with both labels, what share of either has a score in each bin."""
    heads = manifest.histogram.get("heads", {})
    for head in Head:
        labels: Mapping[str, Sequence[int]] = heads.get(head.value, {})
        good, bad = (_of_all(labels.get(word, ())) for word in (GOOD[head], BAD[head]))
        if good and bad and len(good) == len(bad):
            yield head, good, bad


def _of_all(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [count / total for count in counts] if total else []
