"""The pages of a comparison and of a version: they stand alone, and nothing in them runs."""

import hashlib
import re
from base64 import b64encode
from dataclasses import replace

import pytest

from model.comparison import (
    FIGURES,
    Comparison,
    DataCard,
    Figure,
    Flip,
    FlipExample,
    Interval,
    Note,
    Share,
    Slice,
)
from model.promotion import Code, Reason, Ruling
from model.registry import SHIPPED, Registry
from tests.judging_cases import a_manifest
from tests.test_comparing import AT, NEW, OLD, examples
from tests.test_report import Page
from training.attacks import ATTACKS
from training.comparing import compare
from training.comparison_page import comparison_page
from training.contenders import Labelled, Options
from training.saying import said
from training.version_page import Standing, version_page
from training.wording import LANGUAGES, words_in

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}{n}\u202e</style>'
FEW = Interval(0.1, 0.05, 0.2)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    found = compare(OLD, NEW, Labelled(examples(120)), at=AT, options=Options(attacked=2))
    return replace(found, notes=(*found.notes, Note("few_groups", {"groups": 3, "needed": 10})))


def hostile() -> Comparison:
    figure = Figure("spam_caught", FEW, FEW, Interval(0.0, -0.1, 0.1), 9)
    share = (Share(HOSTILE, 1, 1.0),)
    example = FlipExample("", HOSTILE, HOSTILE, HOSTILE, 0.1, 0.9)
    return Comparison(
        champion=HOSTILE,
        challenger=HOSTILE,
        at=HOSTILE,
        judged=HOSTILE,
        policy=HOSTILE,
        promise_risk=0.005,
        queue_risk=0.01,
        rows=1,
        genuine=1,
        spam=0,
        toxic=0,
        clean=0,
        groups=1,
        figures=(figure, replace(figure, name=HOSTILE)),
        slices=(Slice("site", HOSTILE, 9, 9, 0, (figure,)), Slice(HOSTILE, "x", 9, 9, 0, ())),
        flips=(Flip(HOSTILE, "accept", "reject", 1, 9, True, (example,)),),
        data=DataCard(share, share, share, share, left_out={HOSTILE: 1}, first=HOSTILE),
        notes=(Note(HOSTILE, {HOSTILE: HOSTILE}),),
    )


def assert_stands_alone(text: str, language: str) -> None:
    page = Page(text)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    [style] = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert not {"script", "img", "iframe", "object", "form", "link", "base"} & set(page.tags)
    assert (page.unbalanced, page.open) == ([], [])
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"<[^>]+\s(?:on\w+|style)\s*=", text)
    assert "@import" not in style
    assert "url(" not in style
    assert policy is not None
    assert policy[1].startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    assert f'<html lang="{language}">' in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_of_a_comparison_stands_alone(comparison, language):
    assert_stands_alone(comparison_page(comparison, language), language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_of_the_shipped_version_stands_alone(language):
    assert_stands_alone(version_page(Registry(SHIPPED).manifest("champion"), language), language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_strangers_wrote_stays_text(language):
    text = comparison_page(hostile(), language, in_desk=True)

    assert_stands_alone(text, language)
    assert "&lt;script&gt;alert(1)" in text
    assert "49" not in text
    assert "<img" not in text


def test_what_a_manifest_says_stays_text():
    manifest = a_manifest(
        version="0123456789ab",
        data=({"name": HOSTILE, "labels": {HOSTILE: 3}, "tier": HOSTILE, "sha256": HOSTILE},),
        recipe={"name": HOSTILE, "seed": HOSTILE, "parent": HOSTILE},
        evaluation={"failures": [{"text": HOSTILE, "label": HOSTILE, "score": 0.5}]},
        libraries={HOSTILE: HOSTILE},
    )
    move = {"at": HOSTILE, "name": HOSTILE, "who": HOSTILE, "why": HOSTILE}

    text = version_page(manifest, "en", Standing((HOSTILE,), (hostile(),), (move,)))

    assert_stands_alone(text, "en")


def test_the_first_words_say_whether_to_promote(comparison):
    may = Ruling((Reason(Code.PROMISE_KEPT, False, {"figure": "genuine_held"}),))
    may_not = Ruling((Reason(Code.NOTHING_BETTER, True),))

    pages = [comparison_page(comparison, ruling=ruling) for ruling in (may, may_not)]

    headings = [re.search(r"<h1[^>]*>(.*?)</h1>", page)[1] for page in pages]
    assert headings == [
        "By these figures, yes: it may be promoted.",
        "Not yet: do not promote it.",
    ]


def test_a_gain_beyond_its_interval_is_told_as_such():
    win = Figure("spam_caught", Interval(0.9, 0.8, 0.95), Interval(0.95, 0.9, 0.99),
                 Interval(0.05, 0.02, 0.08), 900)  # fmt: skip
    cost = Figure("genuine_rejected", Interval(0.001, 0.0, 0.01), Interval(0.004, 0.001, 0.02),
                  Interval(0.003, 0.001, 0.005), 900)  # fmt: skip
    maybe = replace(win, name="toxic_caught", difference=Interval(0.05, -0.02, 0.12))
    page = comparison_page(replace(hostile(), figures=(win, cost, maybe)))

    told = [re.sub(r"<[^>]+>", " ", part) for part in page.split('<div class="answer ')[1:4]]
    wins, costs, unsure = (" ".join(part.split()) for part in told)
    assert "50 of 1,000 spam comments more are caught" in wins
    assert "3.0 of 1,000 genuine comments more are rejected" in costs
    assert "50 of 1,000 toxic comments more are caught between −20 and +120" in unsure


def test_a_comment_of_the_store_is_kept_by_its_name_alone(comparison):
    kept = comparison.without_texts()

    page = comparison_page(kept, in_desk=True)
    texts = [e.text for flip in comparison.flips for e in flip.examples if e.id]
    assert texts
    assert not any(text in page or text in kept.to_json() for text in texts)
    assert 'href="/queue/c' in page


def test_both_languages_say_the_same_with_the_same_values():
    english, vietnamese = (words_in(tag).texts for tag in LANGUAGES)

    def holes(texts):
        return {key: sorted(re.findall(r"{(\w+)}", text)) for key, text in texts.items()}

    assert holes(english) == holes(vietnamese)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_figure_reason_and_disguise_has_words(language):
    texts = words_in(language).texts
    needed = [f"figure.{name}" for name in FIGURES]
    needed += [f"attack.{name}" for name in ATTACKS]
    needed += [f"reason.{code}" for code in Code]

    assert [key for key in needed if key not in texts] == []


@pytest.mark.parametrize("code", list(Code))
def test_every_reason_of_the_rule_is_a_sentence(code):
    values = {"genuine": 3, "least": 20, "comments": 5, "hours": 2.5, "least_comments": 300}
    values |= {"least_hours": 24.0, "figure": "genuine_held", "slice": "vi", "kind": "language"}

    text = said(Reason(code, True, values), words_in("vi"))

    assert text.endswith(".")
    assert "{" not in text


@pytest.mark.parametrize(
    ("language", "expected"),
    [("en", ["1,234.5", "−0.2", "+3", "0", "0.50\xa0%", "100\xa0%", "0.5\xa0%"]),
     ("vi", ["1.234,5", "−0,2", "+3", "0", "0,50\xa0%", "100\xa0%", "0,5\xa0%"])],
)  # fmt: skip
def test_numbers_are_written_as_the_language_does(language, expected):
    words = words_in(language)

    assert [
        words.number(1234.5, 1),
        words.number(-0.2, 1),
        words.change(3),
        words.change(-0.2),
        words.percent(0.005),
        words.percent(1),
        words.risk(0.005),
    ] == expected
