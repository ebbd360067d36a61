"""An own version promises by the site's comments where these can speak, else as its parent."""

import numpy as np

from model.decision import Label, LabelledExample, Provenance, WordOf
from model.outcome import OFF, Head
from model.promise import ANY, RISKS, Kept, Promise
from training.own import stands_for
from training.own_promise import site_first
from training.umbrella import Genuine, estimated, promise_of

QUARTER, HALF, ONE = (RISKS.index(risk) for risk in (0.0025, 0.005, 0.01))
LEAD = 0.5


def column(*, first: int, at: float = 0.9) -> tuple[float, ...]:
    """Off below a risk, and lower from there on."""
    return (OFF,) * first + tuple(at - 0.01 * i for i in range(len(RISKS) - first))


def said(comments: int, *columns: tuple[str, tuple[float, ...]]) -> Promise:
    return Promise({tag: Kept(comments, 60, *(each,) * 3) for tag, each in columns}, "source")


def none_against(promise: Promise) -> Promise:
    return said(0, *((tag, (0.0,) * len(RISKS)) for tag in promise.languages))


def test_a_language_speaks_for_itself_of_risks_that_it_can_tell_the_half_of():
    own = said(1_200, (ANY, column(first=QUARTER, at=0.7)), ("en", column(first=QUARTER, at=0.8)))
    moved = said(700, ("en", column(first=0, at=0.95)))

    found = site_first(own, none_against(own), moved).languages["en"]

    assert found.spam_reject_at[HALF:] == column(first=QUARTER, at=0.8)[HALF:]
    assert found.spam_reject_at[:HALF] == column(first=0, at=0.95)[:HALF]
    assert found.comments == 1_900


def test_of_few_own_comments_the_one_with_the_highest_score_does_not_decide():
    own = (OFF,) * ONE + (0.999,) + (0.5,) * (len(RISKS) - ONE - 1)
    few, moved = said(300, (ANY, own), ("vi", own)), said(700, ("vi", column(first=HALF)))

    found = site_first(few, none_against(few), moved).languages["vi"]

    assert found.spam_reject_at[HALF : ONE + 1] == column(first=HALF)[HALF : ONE + 1]
    assert found.spam_reject_at[-1] == 0.5


def test_all_of_a_site_speak_for_a_language_with_few_but_not_against_what_those_say():
    own = said(1_200, (ANY, column(first=QUARTER, at=0.6)), ("vi", (OFF,) * len(RISKS)))
    moved = said(700, ("vi", column(first=HALF, at=0.99)), ("fr", column(first=HALF, at=0.99)))
    likely = said(0, (ANY, (0.0,) * len(RISKS)), ("vi", column(first=0, at=0.75)))

    found = site_first(own, likely, moved).languages

    assert found["vi"].spam_reject_at[HALF] == column(first=0, at=0.75)[HALF]
    assert found["fr"].spam_reject_at == moved.languages["fr"].spam_reject_at


def genuine(n: int, seed: int) -> Genuine:
    """One of twenty is of a language whose genuine comments look like spam."""
    rng = np.random.default_rng(seed)
    other = np.arange(n) % 20 == 0
    return Genuine(
        spam=np.where(other, rng.beta(2, 4, n), rng.beta(0.5, 9, n)),
        toxicity=rng.beta(0.4, 30, n),
        language=np.where(other, "id", "vi"),
        unit=np.array([f"u{i}" for i in range(n)]),
        source=np.full(n, "site"),
    )


def test_the_site_as_a_whole_keeps_its_promise_and_no_language_pays_for_the_others():
    """By 60 sites that drew a tenth of what was not held."""
    population = genuine(40_000, 1)
    flagged, of_few = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        chance = np.where(population.spam > 0.3, 1.0, 0.1)
        at = np.flatnonzero(rng.uniform(size=chance.size) < np.where(chance < 1, 0.04, 0.4))
        seen = population.where(np.isin(np.arange(chance.size), at))
        seen = Genuine(*(getattr(seen, c) for c in COLUMNS), stands_for=1 / chance[at])
        own = promise_of(seen, lead=LEAD, by_source=seen)
        found = site_first(own, estimated(seen, lead=LEAD), Promise({})).languages
        held = np.zeros(chance.size, bool)
        for tag in ("vi", "id"):
            kept, here = found[tag], population.language == tag
            over = population.spam >= kept.spam_queue_at[ONE]
            held |= here & (over | (population.toxicity >= kept.toxicity_queue_at[ONE]))
        flagged.append(held.mean())
        of_few.append(held[population.language == "id"].mean())

    assert np.mean(np.array(flagged) > 0.01) <= 0.05
    assert np.median(flagged) > 0.003
    assert np.median(of_few) <= 0.012


COLUMNS = ("spam", "toxicity", "language", "unit", "source")


def test_comments_that_nobody_drew_promise_nothing_of_others():
    many = genuine(1_300, 3)
    drawn_few = np.where(np.arange(1_300) < 100, 1.0, 0.0)
    seen = Genuine(*(getattr(many, c) for c in COLUMNS), stands_for=drawn_few)

    kept = promise_of(seen, lead=LEAD).languages[ANY]

    assert kept.spam_reject_at[ONE] == OFF
    assert promise_of(many, lead=LEAD).languages[ANY].spam_reject_at[ONE] < OFF


def test_a_comment_stands_for_as_many_as_its_chance_says():
    def one(kind: WordOf, chance: float | None) -> LabelledExample:
        told = Provenance(kind, "an", "", chance)
        return LabelledExample("1", "text", Label(Head.SPAM, False), provenance=told)

    assert stands_for(one(WordOf.DECISION, 0.05)) == 20
    assert stands_for(one(WordOf.DECISION, None)) == stands_for(one(WordOf.REPORT, None)) == 0
    assert stands_for(one(WordOf.IMPORT, None)) == stands_for(one(WordOf.FILE, None)) == 1
