"""How right each outcome is, and how much of what it is for it reaches: estimates with intervals.

Pure: counts in, shares out. A comment is unwanted where a person rejects it, whatever for, and
genuine where a person accepts it. An acceptance is right where the comment is genuine, a rejection
where it is unwanted, and to queue is right where what was queued is unwanted. What an acceptance
should reach is all that is genuine, what a rejection and the queue should is all that is unwanted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from model.outcome import Outcome
from service.estimates import Drawn, Part, Share, complement, share_within, weighted


@dataclass(frozen=True, slots=True)
class Judged:
    """How many got an outcome from the machine, and what people found in a sample of those."""

    number: float
    unwanted: Drawn
    genuine: Drawn

    @property
    def looked_at(self) -> int:
        """How many of them a person looked at."""
        return self.unwanted.times + self.genuine.times

    @property
    def share(self) -> Share | None:
        """How much of it is unwanted."""
        return weighted([self.unwanted], [self.genuine])


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of an outcome: how often it was right, and how much it reached; None where unknown."""

    right: Share | None
    reached: Share | None
    looked_at: int


@dataclass(frozen=True, slots=True)
class Estimates:
    """Of each outcome, and of all genuine comments the share that was rejected."""

    by_outcome: Mapping[Outcome, Estimate]
    genuine_rejected: Share | None
    looked_at: int
    """Of what the machine had settled, how many a person looked at."""

    @property
    def caught(self) -> Share | None:
        """Of all that is unwanted, the share that was rejected."""
        return self.by_outcome[Outcome.REJECT].reached


def estimates(found: Mapping[Outcome, Judged]) -> Estimates:
    """What is known of how right each outcome was. An outcome that is missing was not given."""
    unwanted = {outcome: Part(one.number, one.share) for outcome, one in found.items()}
    genuine = {o: Part(part.number, complement(part.share)) for o, part in unwanted.items()}
    by_outcome = {}
    for outcome in Outcome:
        of = genuine if outcome is Outcome.ACCEPT else unwanted
        right = of[outcome].share if outcome in of else None
        looked_at = found[outcome].looked_at if outcome in found else 0
        by_outcome[outcome] = Estimate(right, _share_of(of, outcome), looked_at)
    settled = (by_outcome[o].looked_at for o in (Outcome.ACCEPT, Outcome.REJECT))
    return Estimates(by_outcome, _share_of(genuine, Outcome.REJECT), sum(settled))


def _share_of(of: Mapping[Outcome, Part], outcome: Outcome) -> Share | None:
    inside = [part for which, part in of.items() if which is outcome]
    return share_within(inside, [part for which, part in of.items() if which is not outcome])
