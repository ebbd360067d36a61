"""Many fits over the same shards in lockstep: each pass over the rows serves all of them.

The shards are taken on by growing samples (Derezinski, Mahajan, Keerthi, Vishwanathan and Weimer
2018, "Batch-Expansion Training"): every 4**n-th of them first, down to all, each time from where
the sample before ended. So what takes many steps is done on few rows, and few passes over all of
them are left. Where it ends is the optimum over all rows, to the tolerance of `training.logistic`.

The fits to all rows lead. The others of a head, which leave some out, set out from where it ended,
with what it remembers of the curvature: they are few steps from their own end.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.classifier import HEADS
from training.fit import Linear, rarity_of
from training.logistic import MEMORY, State, Walk, descending, excess
from training.shards import BLOCK, Asked, Fit, Shard, having, slopes
from training.slopes import Sums, size_of
from training.taught import Counts
from training.work import Work, name_of
from training.workers import Workers

Floats = NDArray[np.float64]

TOLERANCE, ROUGH = 1e-5, 1e-4
"""Of the sum of weights: about how much loss is left to be saved at the end, and on a sample.

A tenth of the first takes a quarter more of the processor and ranks no better (docs/training.md).
"""

LEAST_SHARDS = 8
"""A sample of fewer says too little to start from."""

GROWTH = 4

BLOCKS = 2_048
"""More tasks in a pass would keep a scheduler busier than its workers."""

SAVED_EVERY = 20
"""Steps after which a fit under way is written down: it takes as long as some steps do."""

VECTORS = 2 * MEMORY + 12
"""As long as the table and the memory of one fit at once, at most: its state, a step's
temporaries, its columns of a pass."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is fitted to: shards in order, and how a pass over them is made.

    `name` stands for all rows and weights; fits are kept under it.
    """

    work: Work
    workers: Workers
    shards: tuple[Shard, ...]
    name: str
    bits: int
    together: int
    """Fits that walk at once."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A fit of some places with the scale of each, and the name under which it is kept.

    `unit` is as in `Rarity.unit`, and the same for all fits of a head: so they may begin where
    another ended. One that `leads` is followed by others, which begin where it ended.
    """

    fit: Fit
    places: NDArray[np.intp]
    scale: Floats
    unit: tuple[Floats, float]
    name: str
    leads: bool
    begin: State | None


def fits_of(
    counts: Counts,
    asked: Sequence[tuple[int, int | None, int | None]],
    penalties: Sequence[float],
    rarity_power: float,
) -> list[Fit]:
    """Fits by head, fold and source; both sides weigh half of all rows in each."""
    found = []
    for head, fold, source in asked:
        rows, weight = counts.sides(head, fold=fold, source=source)
        whole = float(rows.sum())
        balance = (whole / 2 / float(weight[0]), whole / 2 / float(weight[1]))
        found.append(Fit(head, fold, source, balance, whole, penalties[head], rarity_power))
    return found


@dataclass(frozen=True, slots=True)
class Rarity:
    """How many rows of each head have each place, by fold and by sources counted apart.

    `squares` has shape (places, heads * 2): of each head's negative and positive rows the sum of
    their weights times the square of the place's value.
    """

    counts: NDArray[np.float32]
    squares: NDArray[np.float32]
    folds: int
    sources: tuple[int, ...]

    def there(self) -> NDArray[np.intp]:
        """The places that any row has. The weights of the others are 0 in every fit."""
        each = self.folds + len(self.sources)
        by_fold = [slice(at, at + self.folds) for at in range(0, self.counts.shape[1], each)]
        return np.flatnonzero(sum(self.counts[:, of].sum(axis=1) for of in by_fold))

    @classmethod
    def of(cls, problem: Problem, folds: int, sources: Sequence[int]) -> "Rarity":
        """Counted in one pass, or read where that was done before."""
        name = name_of(problem.name, "counted", folds, list(sources))
        work = problem.work
        if not work.has("fits", name):
            shared = (work, problem.bits, folds, tuple(sources))
            tasks = ((block,) for block in blocks(problem.shards))
            found = problem.workers.total(having, shared, tasks).astype(np.float32)
            rows = len(HEADS) * (folds + len(sources))
            work.save("fits", name, counts=found[:, :rows], squares=found[:, rows:])
        kept = work.load("fits", name)
        return cls(kept["counts"], kept["squares"], folds, tuple(sources))

    def unit(self, fit: Fit) -> tuple[Floats, float]:
        """How far each place's weight, and the bias, are moved by what a fit's descent calls 1.

        So that the loss is about as curved along each: by the diagonal of its second derivative
        where all weights are 0, of all rows. Unlike `scale` it changes the way and not the end.
        """
        scale = self.scale(replace(fit, fold=None, source=None))
        sides = self.squares[:, 2 * fit.head : 2 * fit.head + 2].astype(np.float64)
        curved = (sides[:, 0] * fit.balance[0] + sides[:, 1] * fit.balance[1]) / 4
        along = scale / np.sqrt(curved * scale * scale + 1 / fit.inverse_penalty)
        return along, 2 / float(np.sqrt(fit.rows))

    def scale(self, fit: Fit) -> Floats:
        """How freely a fit may move each place."""
        each = self.folds + len(self.sources)
        of_head = self.counts[:, fit.head * each : (fit.head + 1) * each].astype(np.float64)
        having = of_head[:, : self.folds].sum(axis=1)
        if fit.fold is not None:
            having -= of_head[:, fit.fold]
        if fit.source is not None:
            having -= of_head[:, self.folds + self.sources.index(fit.source)]
        power = np.float32(fit.rarity_power)
        return np.asarray(rarity_of(having, fit.rows) ** power, np.float64)


def fitted(
    problem: Problem,
    fits: Sequence[Fit],
    rarity: Rarity,
    *,
    progress: Callable[[float], None] = lambda _: None,
) -> list[str]:
    """Fit each, unless it is done, and give the names under which `linear` finds them."""
    ends = [TOLERANCE, ROUGH]
    names = [name_of(problem.name, "fit", fit_body(fit), ends) for fit in fits]
    order = sorted(range(len(fits)), key=lambda at: fits[at].head)
    left = [at for at in order if not problem.work.has("fits", names[at])]
    done = len(fits) - len(left)
    places = rarity.there()
    leaders = _leaders(fits)
    units = {head: rarity.unit(fits[at]) for head, at in leaders.items()}
    begun: dict[int, State] = {}
    for leading in (True, False):
        of_kind = [at for at in left if (at in leaders.values()) is leading]
        if of_kind and not leading:
            begun = {
                head: ended
                for head, at in leaders.items()
                if (ended := _saved(problem.work, _ended(names[at]))) is not None
            }
        for begin in range(0, len(of_kind), problem.together):
            together = of_kind[begin : begin + problem.together]
            wave = [
                Wanted(
                    fits[at],
                    places,
                    rarity.scale(fits[at])[places],
                    (units[fits[at].head][0][places], units[fits[at].head][1]),
                    names[at],
                    leads=leading,
                    begin=begun.get(fits[at].head),
                )
                for at in together
            ]

            def told(share: float, done: int = done, wave: list[Wanted] = wave) -> None:
                progress((done + share * len(wave)) / len(fits))

            _wave(problem, wave, told)
            done += len(wave)
    return names


def _leaders(fits: Sequence[Fit]) -> dict[int, int]:
    """Of each head the first fit to all rows, by its place: where the head's others set out."""
    found: dict[int, int] = {}
    for at, fit in enumerate(fits):
        if fit.fold is None and fit.source is None:
            found.setdefault(fit.head, at)
    return found


def _ended(name: str) -> str:
    return f"{name}.ended"


def fit_body(fit: Fit) -> list[object]:
    """What a fit is, as plain JSON."""
    return [
        fit.head,
        fit.fold,
        fit.source,
        list(fit.balance),
        fit.rows,
        fit.inverse_penalty,
        fit.rarity_power,
    ]


def linear(work: Work, name: str) -> Linear:
    """A fit that is done."""
    found = work.load("fits", name)
    return Linear(found["weights"], float(found["bias"]))


def samples(shards: int) -> list[int]:
    """The strides of the growing samples: every so many shards, last 1."""
    strides = [1]
    while shards // (strides[0] * GROWTH) >= LEAST_SHARDS:
        strides.insert(0, strides[0] * GROWTH)
    return strides


class _Walker:
    """One fit on its way: the point it asks about, then the state where it ended."""

    def __init__(self, problem: Problem, wanted: Wanted) -> None:
        self.wanted = wanted
        self.point: Floats | None = None
        self.state = wanted.begin
        self.nearness = 0.0
        self._problem = problem
        self._walk: Walk
        self._begun = 0.0

    def set_out(self, stride: int) -> None:
        """Begin a sample from where the one before ended, or where this one was stopped."""
        work, kept = self._problem.work, self._under_way(stride)
        enough = self.wanted.fit.rows * (TOLERANCE if stride == 1 else ROUGH)
        self.nearness = self._begun = 0.0

        def noted(state: State) -> None:
            at = excess(state)
            self._begun = max(self._begun, at)
            if enough < at < self._begun:
                near = np.log(self._begun / at) / np.log(self._begun / enough)
                self.nearness = max(self.nearness, float(near))
            if state.steps and state.steps % SAVED_EVERY == 0:
                _save(work, kept, state)

        self._walk = descending(
            self.wanted.places.size,
            enough=enough,
            begin=self.state,
            start=_saved(work, kept),
            noted=noted,
            away=excess,
        )
        self.state = None
        self.answer(None)

    def answer(self, answer: tuple[float, Floats] | None) -> None:
        """Go on by the loss and gradient at the point, None for the first."""
        try:
            # The first value sent to a generator has to be None, which its type leaves out.
            self.point = self._walk.send(answer)  # type: ignore[arg-type]
        except StopIteration as ended:
            self.point, self.state, self.nearness = None, ended.value, 1.0

    def at(self) -> Floats:
        """The point it asks about. Raises ValueError where it has arrived."""
        if self.point is None:
            raise ValueError("this fit asks nothing")
        return self.point

    def lay(self, points: Sums, at: int) -> None:
        """Write down the weights and the bias of that point, as one fit of several."""
        unit, unit_bias = self.wanted.unit
        points.slope[self.wanted.places, at] = self.at()[:-1] * unit
        points.bias[at] = self.at()[-1] * unit_bias

    def told(self, sums: Sums, at: int, grown: float) -> tuple[float, Floats]:
        """The loss and gradient there: what the rows add, times `grown`, and the penalty."""
        unit, unit_bias = self.wanted.unit
        point, inverse = self.at(), 1 / self.wanted.fit.inverse_penalty
        gradient = np.empty(point.size)
        np.multiply(sums.slope[self.wanted.places, at], unit * grown, out=gradient[:-1])
        gradient[-1] = sums.bias[at] * unit_bias * grown
        away = point[:-1] * unit
        away /= self.wanted.scale
        penalty = float(np.sum(away * away)) * inverse / 2
        away *= unit
        away /= self.wanted.scale
        away *= inverse
        gradient[:-1] += away
        return float(sums.loss[at]) * grown + penalty, gradient

    def rest(self, stride: int) -> None:
        """Write down where a sample ended."""
        if self.state is not None:
            _save(self._problem.work, self._under_way(stride), self.state)

    def arrive(self, strides: Sequence[int]) -> None:
        """Write the fit down, and take away what was written on the way."""
        work = self._problem.work
        if self.state is not None:
            weights = np.zeros(2**self._problem.bits)
            unit, unit_bias = self.wanted.unit
            weights[self.wanted.places] = self.state.point[:-1] * unit
            if self.wanted.leads:
                _save(work, _ended(self.wanted.name), self.state)
            work.save(
                "fits", self.wanted.name, weights=weights, bias=self.state.point[-1] * unit_bias
            )
        for stride in strides:
            work.forget("fits", self._under_way(stride))

    def _under_way(self, stride: int) -> str:
        return f"{self.wanted.name}.{stride}"


def _wave(problem: Problem, wave: Sequence[Wanted], progress: Callable[[float], None]) -> None:
    # What begins where another ended is nearer to its end there than any sample would bring it.
    strides = [1] if all(wanted.begin for wanted in wave) else samples(len(problem.shards))
    walkers = [_Walker(problem, wanted) for wanted in wave]
    for stage, stride in enumerate(strides):
        shards = problem.shards[::stride]
        for walker in walkers:
            walker.set_out(stride)
        while going := [walker for walker in walkers if walker.point is not None]:
            near = sum(walker.nearness for walker in walkers) / len(walkers)
            progress((stage + near) / len(strides))
            for walker, answer in zip(going, _pass(problem, going, shards), strict=True):
                walker.answer(answer)
        if stride > 1:
            for walker in walkers:
                walker.rest(stride)
    for walker in walkers:
        walker.arrive(strides)


def _pass(
    problem: Problem, walkers: Sequence[_Walker], shards: Sequence[Shard]
) -> Iterator[tuple[float, Floats]]:
    """The loss and gradient of each at its point; a sample's count as if it were all rows."""
    fits = tuple(walker.wanted.fit for walker in walkers)
    whole = np.zeros(size_of(2**problem.bits, len(fits)))
    asked = Asked(problem.work, fits, whole, problem.bits)
    order = [(head, at) for head, count in enumerate(asked.of_heads()) for at in range(count)]
    points = asked.apart(whole)
    for (head, at), walker in zip(order, walkers, strict=True):
        walker.lay(points[head], at)
    told = problem.workers.total(slopes, asked, ((block,) for block in blocks(shards)))
    grown = len(problem.shards) / len(shards)
    sums = asked.apart(told)
    for (head, at), walker in zip(order, walkers, strict=True):
        yield walker.told(sums[head], at, grown)


def blocks(shards: Sequence[Shard]) -> Iterator[tuple[Shard, ...]]:
    """Shards, so many at a time as one task adds up: more where there are very many."""
    size = max(BLOCK, len(shards) // BLOCKS)
    for begin in range(0, len(shards), size):
        yield tuple(shards[begin : begin + size])


def _save(work: Work, name: str, state: State) -> None:
    none = np.zeros((0, state.point.size))
    work.save(
        "fits",
        name,
        point=state.point,
        gradient=state.gradient,
        moves=np.stack(state.moves) if state.moves else none,
        turns=np.stack(state.turns) if state.turns else none,
        curvatures=np.array(state.curvatures),
        loss=np.float64(state.loss),
        steps=np.int64(state.steps),
    )


def _saved(work: Work, name: str) -> State | None:
    if not work.has("fits", name):
        return None
    found = work.load("fits", name)
    return State(
        found["point"],
        float(found["loss"]),
        found["gradient"],
        tuple(found["moves"]),
        tuple(found["turns"]),
        int(found["steps"]),
        tuple(found["curvatures"].tolist()),
    )
