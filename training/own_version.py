"""From an installation's labels to a version with its figures and card.

Knows what is written down of a moved champion. Reads no store and writes no registry.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

from model.classifier import Classifier
from model.decision import LabelledExample
from model.features import FEATURES_VERSION, Texts
from model.registry import Manifest
from training.held_out import histograms, judged_held_out, measured_held_out
from training.own import Moved, own_model
from training.own_fit import OWN, OwnRecipe
from training.progress import Tell
from training.rehearsal import own_texts
from training.resolving import Resolved
from training.train_command import PROBES, data_digests

STAGES = {
    "labels": 0.1,
    "features": 0.1,
    "fits": 0.3,
    "promise": 0.1,
    "figures": 0.1,
    "comparing": 0.4,
}
"""What is done in order, and what share of the time each takes, about."""


@dataclass(frozen=True, slots=True)
class OwnVersion:
    """A moved champion, the manifest it goes into a registry with, and what it was moved by.

    `examples` weigh what they were given; the folds of `moved` are theirs.
    """

    moved: Moved
    manifest: Manifest
    examples: tuple[LabelledExample, ...]


def own_version(  # noqa: PLR0913  each is a part of what is moved, or of how
    labels: Resolved,
    champion: Classifier,
    parent: Manifest,
    recipe: OwnRecipe = OWN,
    *,
    rehearsed: Sequence[LabelledExample] | None = None,
    jobs: int = -1,
    progress: Tell = lambda _, __: None,
) -> OwnVersion:
    """Move the champion, whose manifest is `parent`, by labels, and measure that.

    `rehearsed` are the project's own texts unless others are given. Raises NotEnough.
    """
    examples = tuple(labels.weighed())
    texts = own_texts() if rehearsed is None else rehearsed
    moved = own_model(examples, champion, texts, recipe, jobs=jobs, progress=progress)
    done = 0

    def judged_more(count: int) -> None:
        nonlocal done
        done += count
        progress("figures", done / len(examples))

    judged = judged_held_out(examples, moved, jobs=jobs, progress=judged_more)
    measured = measured_held_out(judged, moved, seed=recipe.seed)
    evaluation = {"tasks": {m.evaluation.head.value: m.evaluation.json_body() for m in measured}}
    manifest = Manifest(
        version="",
        features_version=FEATURES_VERSION,
        spec=champion.spec,
        bias=tuple(float(bias) for bias in moved.final.bias),
        promise=moved.final.promise,
        digests={},
        recipe=_recipe(labels, moved, champion, recipe, rehearsed=len(texts)),
        data=tuple(_data(examples, texts, parent)),
        libraries={name: version(name) for name in ("numpy", "scipy", "scikit-learn")},
        evaluation=evaluation,
        histogram=histograms(measured),
        probes=tuple(
            (text, tuple(float(z) for z in moved.final.log_odds([Texts(text)])[0]))
            for text in PROBES
        ),
    )
    return OwnVersion(moved, manifest, examples)


def _recipe(
    labels: Resolved, moved: Moved, champion: Classifier, recipe: OwnRecipe, *, rehearsed: int
) -> dict[str, Any]:
    until = moved.final.learnt_until
    return asdict(recipe) | {
        "parent": champion.version,
        "moved": [head.value for head in moved.heads],
        "rehearsed": rehearsed,
        "conflicts": len(labels.conflicts),
        "campaigns": len(labels.campaigns),
        "left_out": dict(sorted(labels.left_out.items())),
        "labels_until": until.isoformat() if until else "",
    }


def _data(
    examples: Sequence[LabelledExample], texts: Sequence[LabelledExample], parent: Manifest
) -> list[dict[str, Any]]:
    """What it was fitted to, and whatever its parent was: the limits of that are its own."""
    as_they_came = [replace(example, weight=1.0) for example in examples]
    return data_digests([*as_they_came, *texts]) + [
        {"through": parent.version} | dict(source) for source in parent.data
    ]
