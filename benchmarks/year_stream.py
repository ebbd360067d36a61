"""What is sent to one site in a year: which comment, on which day, under which article.

Knows the script, which is made up, and draws the comments, which are real, each at most once. The
same script, comments and seed give the same year.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from model.decision import LabelledExample
from training.attacks import ATTACKS

GENUINE = "genuine"


@dataclass(frozen=True, slots=True)
class Sent:
    """A comment as it comes: `part` is genuine, or which spam; `positive` whether it is spam."""

    number: int
    day: int
    part: str
    positive: bool
    article: str
    example: LabelledExample


@dataclass(frozen=True, slots=True)
class Campaign:
    """Spam from a pool that begins on a day: so many a day for so long, then a few to the end.

    `disguises` are names of `training.attacks`, one of which each comment is put through; an
    empty name leaves it as it is.
    """

    name: str
    begins: int
    days: int
    a_day: float
    after_a_day: float
    disguises: tuple[str, ...] = ("",)


@dataclass(frozen=True, slots=True)
class Careless:
    """From a day on, for so long, a moderator says the opposite of a share of comments."""

    who: str
    begins: int
    days: int
    share: float


@dataclass(frozen=True, slots=True)
class Script:
    """A year of one site.

    `months` has for each month, from January on, how many times the usual genuine comments and
    how many times the usual spam is sent, and the shares of the genuine pools before and after
    the shift of topics, which begins at day `shifts` and takes `shifting` days.
    """

    days: int
    genuine_a_day: float
    spam_a_day: float
    months: Sequence[tuple[float, float, Mapping[str, float]]]
    topics: Mapping[str, tuple[str, str]]
    shifts: int
    shifting: int
    background: str
    campaigns: tuple[Campaign, ...]
    careless: Careless | None
    moderators: Mapping[str, float]
    mistakes: float
    minutes_a_day: float


DAYS_A_MONTH = 30.4375


def sent_in(
    script: Script, pools: Mapping[str, Sequence[LabelledExample]], seed: int
) -> list[Sent]:
    """All comments of the year in order. A pool that runs dry sends no more."""
    random = Random(seed)
    left = {name: iter(random.sample(rows, len(rows))) for name, rows in pools.items()}
    found: list[Sent] = []
    recent: list[str] = ["front page"]
    for day in range(script.days):
        today = list(_of_day(script, left, day, random))
        random.shuffle(today)
        for part, positive, article, example in today:
            if positive:
                article = random.choice(recent[-40:])  # noqa: PLW2901  spam goes where readers are
            else:
                recent.append(article)
            found.append(Sent(len(found), day, part, positive, article, example))
    return found


_Draw = tuple[str, bool, str, LabelledExample]


def _of_day(
    script: Script, left: Mapping[str, Iterator[LabelledExample]], day: int, random: Random
) -> Iterator[_Draw]:
    genuine, spam, languages = script.months[min(int(day / DAYS_A_MONTH), len(script.months) - 1)]
    week = 1.0 if day % 7 < 5 else 0.7
    names = list(languages)
    for _ in range(_count(script.genuine_a_day * genuine * week, random)):
        language = random.choices(names, [languages[name] for name in names])[0]
        before, after = script.topics[language]
        pool = after if random.random() < (day - script.shifts) / script.shifting else before
        example = next(left[pool], None)
        if example is not None:
            article = example.group or f"{pool} {day // 3}"
            yield GENUINE, False, article, example
    for _ in range(_count(script.spam_a_day * spam, random)):
        example = next(left[script.background], None)
        if example is not None:
            yield script.background, True, "", example
    for campaign in script.campaigns:
        rate = _rate(campaign, day)
        for _ in range(_count(rate, random)):
            example = next(left[campaign.name], None)
            if example is not None:
                yield campaign.name, True, "", _disguised(example, campaign, random)


def _rate(campaign: Campaign, day: int) -> float:
    if day < campaign.begins:
        return 0.0
    return campaign.a_day if day < campaign.begins + campaign.days else campaign.after_a_day


def _count(rate: float, random: Random) -> int:
    """A Poisson number, by multiplying uniform ones (Knuth)."""
    limit, count, product = math.exp(-rate), 0, random.random()
    while product > limit:
        product *= random.random()
        count += 1
    return count


def _disguised(example: LabelledExample, campaign: Campaign, random: Random) -> LabelledExample:
    name = random.choice(campaign.disguises)
    return replace(example, text=ATTACKS[name](example.text, random)) if name else example
