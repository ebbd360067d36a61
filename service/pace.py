"""How fast batches are answered, measured as they are, and how long one more would wait.

Knows work and seconds, nothing of comments. Pure but for what it remembers.
"""

_WEIGHT = 0.1
"""Of the newest batch among all so far: some twenty batches, a second under load, count."""

_DOUBT = 0.01
"""Of the work's mean squared: a variance from which on the batches themselves tell the parts
apart. A tenth of the mean, more or less, is noise."""


class Pace:
    """The seconds of a batch as a part for the batch and a part for its work.

    A commit takes as long for one comment as for a hundred, so that seconds by comment would say
    after a quiet minute that a hundred at once take a hundred times as long. The two parts are a
    line through (work, seconds) of the batches, by least squares with weights that fall
    exponentially. While all batches are alike nothing tells the parts apart, and half counts as
    either: after a quiet minute a hundred at once look neither free nor a hundred times as slow.
    """

    def __init__(self) -> None:
        self._weight = 1.0  # of the next one; the first counts alone
        self._work = self._seconds = 0.0
        self._work_variance = self._covariance = 0.0

    def took(self, work: float, seconds: float) -> None:
        """Note a batch. Both are 0 or more; `work` is in any unit, always the same."""
        w, self._weight = self._weight, max(_WEIGHT, self._weight / (1 + self._weight))
        off, late = work - self._work, seconds - self._seconds
        self._work += w * off
        self._seconds += w * late
        self._work_variance = (1 - w) * (self._work_variance + w * off * off)
        self._covariance = (1 - w) * (self._covariance + w * off * late)

    def wait(self, *, batches: float, work: float) -> float:
        """Seconds until so many batches with so much work in all are answered."""
        each = self._seconds_of_work()
        return batches * (self._seconds - each * self._work) + each * work

    def _seconds_of_work(self) -> float:
        """Seconds of a unit of work; neither they nor a batch's own part are below 0."""
        if not self._work:
            return 0.0
        steepest, doubt = self._seconds / self._work, _DOUBT * self._work * self._work
        slope = (self._covariance + doubt * steepest / 2) / (self._work_variance + doubt)
        return min(max(slope, 0.0), steepest)
