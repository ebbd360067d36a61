"""Compare a version that an installation's labels made with the champion, and keep that.

Knows which labels are fair to both: of those that the challenger was moved by, each is judged by
the fit that has not seen its group; a champion that labels moved as well has seen those up to a
time, and is compared on the later ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from model.classifier import Classifier
from model.comparison import Comparison, Note
from model.decision import LabelledExample
from model.registry import CHAMPION, Registry
from training import against
from training.contenders import Labelled, Options, labelled_of
from training.own_version import OwnVersion
from training.resolving import Reliance, time_of


@dataclass(frozen=True, slots=True)
class _Fair:
    """The fits of a version, and which of them has not seen each label that is fair."""

    classifiers: tuple[Classifier, ...]
    fold_of: tuple[int, ...]


def compared_with_champion(  # noqa: PLR0913  each is a part of what is compared, or of how
    registry: Registry,
    version: str,
    own: OwnVersion,
    given: Sequence[LabelledExample],
    how: Options,
    notes: Sequence[Note] = (),
    *,
    reliance: Reliance | None = None,
) -> Comparison | None:
    """The comparison, kept in the registry; None where no label is fair to both.

    `given` are the labels as they came, of which `own` took what it was moved by; `notes` are
    told with it. Who was relied on less for that is here too, by `reliance`. Raises RegistryError.
    """
    seen_until = registry.manifest(CHAMPION).learnt_until
    fair = [
        row
        for row, example in enumerate(own.examples)
        if seen_until is None or _said_after(example, seen_until)
    ]
    if not fair:
        return None
    measured = labelled_of(given, reliance=reliance, jobs=1)
    weight = dict(zip(map(_key, measured.examples), measured.weights, strict=True))
    examples = tuple(own.examples[row] for row in fair)
    return against.compared_with_champion(
        registry,
        version,
        _Fair(
            own.moved.classifiers,
            tuple(own.moved.fold_of[row] for row in fair),
        ),
        Labelled(
            examples,
            tuple(weight.get(_key(example), example.weight) for example in examples),
            conflicts=measured.conflicts,
            campaigns=measured.campaigns,
            left_out=measured.left_out,
            lessons=measured.lessons,
            notes=tuple(notes),
        ),
        at=datetime.now(UTC),
        options=how,
    )


def _key(example: LabelledExample) -> tuple[str, str]:
    return example.id, example.label.word


def _said_after(example: LabelledExample, until: datetime) -> bool:
    at = time_of(example.provenance.at)
    return at is not None and at > until
