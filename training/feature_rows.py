"""Features of comments as rows of a matrix, for whoever fits.

Knows how the features of a batch become CSR, and how processes share that. Does not know what a
row teaches.
"""

from collections.abc import Callable, Sequence

import numpy as np
from joblib import Parallel, delayed
from scipy import sparse

from model.decision import LabelledExample
from model.facts import gather
from model.features import Spec, Texts, features
from model.submission import Submission
from training.examples import submission_of

CHUNK = 500
"""Examples whose features are made in one task."""

Sending = Callable[[LabelledExample], Submission]
"""How an example is sent: as it was, or without something."""


def matrix_of(batch: Sequence[Texts], spec: Spec) -> sparse.csr_matrix:
    """The features of texts, float32 of shape (texts, 2**bits), without duplicate entries."""
    indptr, places, values = features(batch, spec).rows()
    matrix = sparse.csr_matrix((values, places, indptr), shape=(len(batch), 2**spec.bits))
    matrix.sum_duplicates()
    return matrix


def rows_of(
    examples: Sequence[LabelledExample],
    spec: Spec,
    *,
    jobs: int,
    sending: Sending = submission_of,
) -> sparse.csr_matrix:
    """The same of examples, made by so many processes; none gives a matrix without rows."""
    chunks = [examples[at : at + CHUNK] for at in range(0, len(examples), CHUNK)]
    parts = Parallel(n_jobs=jobs)(delayed(_part)(chunk, spec, sending) for chunk in chunks)
    none = sparse.csr_matrix((0, 2**spec.bits), dtype=np.float32)
    return sparse.vstack([none, *parts], format="csr")


def _part(chunk: Sequence[LabelledExample], spec: Spec, sending: Sending) -> sparse.csr_matrix:
    return matrix_of([gather(sending(example)).texts for example in chunk], spec)
