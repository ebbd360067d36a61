"""Named ways to build a model: which sources weigh how much, which features, how strong a prior.

A source's licence tier decides whether its rows may enter a model that is given away:
A is an open licence, B public comments without one (weights only, named in the card), C is
research only. A source that is not listed is the user's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from model.features import Spec
from model.outcome import Head

RESEARCH_ONLY = frozenset({"vispamreviews", "vihsd", "victsd", "c3_news", "indonesian_hate"})
"""Tier C: fitted only when a user asks for it, never in what the project ships."""

OWN_TEXTS = "own texts"
"""The tier of comments written for this project; nobody posted them."""

TIERS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "youtube_spam_uci",
            "judol_id",
            "telegram_tgspam",
            "sms_spam_uci",
            "safesense_vi",
            "davidson_hate",
            "korean_hate",
            "cold_zh",
            "germeval2018_de",
        ),
        "A",
    ),
    **dict.fromkeys(
        (
            "wp_midonet",
            "wp_smoobs_trackbacks",
            "wp_wxr_ham",
            "haacked_ham",
            "vnexpress_raw",
            "instagram_id_spam",
            "turkish_sms",
            "spintax_synthetic",
            "shopee_vi_spam",
            "olid",
        ),
        "B",
    ),
    **dict.fromkeys(RESEARCH_ONLY, "C"),
    **dict.fromkeys(("synthetic_vi", "synthetic_en", "synthetic_other"), OWN_TEXTS),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to build a model.

    `inverse_penalty` is the C of the logistic regression of each head; `rarity_power` says how
    much more freely rare features are fitted (see `training.fit.rarity`), 0 for alike.
    `full_weight_rows` is how many rows of one source count in full: beyond it each weighs
    less, so that a source's influence grows with the square root of its size.
    `source_weights` multiply that, and a (source, label) pair with weight 0 is left out.
    `published` names sources whose ham was published after review: their rows also teach the
    toxicity head what is clean, with `published_weight`. A row with a name or a URL also
    counts without them; where it is spam with a URL, that copy weighs `bare_spam_weight` as
    much. About `lent_share` of the comments without a URL also count with one that is lent to
    them (see `training.lending`), weighing `lent_weight` as much. `wanted` names sources of
    toxicity whose clean comments teach the spam head, with `wanted_weight`, what is no advert:
    languages and ways of writing that no set of spam has. `genuine` are those on whose
    held-out ham thresholds are chosen, so that a site may state what share of it is rejected or
    waits: held out is a comment's group, or with `promise_unit` "source" all of its source as
    well. `toxicity_lead` is what is added to the log-odds of toxicity before the heads share
    what may wait (`training.umbrella.kept`). Scores reject as if the stated risk were
    `reject_care` times smaller (`training.umbrella.promise_of`).
    Toxicity alone rejects nothing: what is rude, people decide.
    """

    name: str
    spec: Spec = field(default_factory=Spec)
    inverse_penalty: Mapping[Head, float] = field(
        default_factory=lambda: {Head.SPAM: 60.0, Head.TOXICITY: 20.0}
    )
    rarity_power: float = 2.0
    full_weight_rows: int = 3_000
    source_weights: Mapping[str, float] = field(default_factory=dict)
    label_weights: Mapping[tuple[str, str], float] = field(default_factory=dict)
    published: frozenset[str] = frozenset()
    published_weight: float = 0.5
    bare_spam_weight: float = 0.1
    lent_share: float = 0.1
    lent_weight: float = 0.05
    wanted: frozenset[str] = frozenset()
    wanted_weight: float = 0.3
    genuine: frozenset[str] = frozenset()
    promise_unit: Literal["group", "source"] = "group"
    toxicity_lead: float = 0.5
    reject_care: float = 5.0
    folds: int = 5
    seed: int = 7


RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="general",
            source_weights={
                "wp_midonet": 3.0,
                "wp_smoobs_trackbacks": 2.0,
                "wp_wxr_ham": 6.0,
                "vnexpress_raw": 3.0,
                "youtube_spam_uci": 1.5,
                "sms_spam_uci": 0.5,
                "turkish_sms": 0.4,
                "spintax_synthetic": 0.5,
                "davidson_hate": 0.3,
                "cold_zh": 0.5,
            },
            # "Spam" among shop reviews means a review of no use: ham on a news site.
            label_weights={("shopee_vi_spam", "spam"): 0.0, ("shopee_vi_spam", "ham"): 0.7},
            # All that was let stand, in languages that no toxicity set has as well: without
            # it whatever is in a new language looks toxic.
            published=frozenset(
                {
                    "vnexpress_raw",
                    "haacked_ham",
                    "wp_wxr_ham",
                    "judol_id",
                    "instagram_id_spam",
                    "telegram_tgspam",
                    "turkish_sms",
                    "sms_spam_uci",
                    "shopee_vi_spam",
                    "synthetic_vi",
                    "synthetic_en",
                    "synthetic_other",
                }
            ),
            # Not all sets of toxicity: what they call clean may hold adverts.
            wanted=frozenset(
                {
                    "safesense_vi",
                    "korean_hate",
                    "germeval2018_de",
                    "olid",
                    "synthetic_vi",
                    "synthetic_en",
                    "synthetic_other",
                }
            ),
            genuine=frozenset({"vnexpress_raw", "haacked_ham", "wp_wxr_ham"}),
            promise_unit="source",
        ),
    )
}
