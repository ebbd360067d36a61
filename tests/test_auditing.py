"""Wrong labels are found, agreement is as published, and what to label next is unlike itself."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from model.agreement import Agreement, alpha, kappa
from model.decision import Label, Provenance, WordOf
from model.facts import gather
from model.features import Spec
from model.memory import cell_of, sketch_of
from model.outcome import Head
from model.submission import Submission
from model.teaching import Candidate, Pick, most_telling
from training.auditing import LEAST, audited
from training.examples import read_examples
from training.label_report import label_report
from training.recipes import Recipe
from training.resolving import Resolved, resolved

TEXTS = Path(__file__).parent.parent / "training" / "texts"
SMALL = Recipe(name="small", spec=Spec(bits=13))

# ------------------------------------------------------------------ agreement


def units_of(*coders: str) -> list[dict[str, str]]:
    rows = {f"coder {number}": row for number, row in enumerate(coders)}
    return [
        {who: row[at] for who, row in rows.items() if row[at] != "*"}
        for at in range(len(coders[0]))
    ]


def test_alpha_is_as_published():
    # Four observers of twelve units: Krippendorff (2011), part C.
    found = alpha(units_of("123321412***", "1233224125*3", "*3332342251*", "12332441251*"))

    assert found.units == 11
    assert found.value == pytest.approx(0.743, abs=5e-4)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high <= 1


def test_kappa_is_as_published():
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10
    units = [{"ann": one, "bob": other} for one, other in [*pairs, *[("no", "no")] * 15]]

    found = kappa([*units, {"ann": "yes"}], "ann", "bob")

    assert (found.units, found.agreed) == (50, 0.7)
    assert found.value == pytest.approx(0.4)


@pytest.mark.parametrize("units", [[], [{"ann": "x"}], [{}]])
def test_nothing_to_compare_is_no_agreement(units):
    assert alpha(units) == kappa(units, "ann", "bob") == Agreement(0, None, None, None, None)


def test_where_all_say_the_same_of_everything_chance_would_have_too():
    assert alpha([{"ann": "x", "bob": "x"}] * 9) == Agreement(9, 1.0, None, None, None)


# ------------------------------------------------------------------ the audit


@pytest.fixture(scope="module")
def labelled() -> tuple[Resolved, set[str]]:
    """600 texts as four people labelled them, one of whom is careless; the ids that are wrong."""
    draw = random.Random(3)
    texts = [e for name in ("vi_ham", "vi_spam") for e in read_examples(TEXTS / f"{name}.jsonl")]
    draw.shuffle(texts)
    wrong = set()
    examples = []
    for number, text in enumerate(e for e in texts[:700] if e.label.head is Head.SPAM):
        who = ("ann", "bob", "cem", "mal")[number % 4]
        said = Provenance(WordOf.DECISION, who, "2026-03-01T00:00:00+00:00")
        example = replace(text, id=str(number), source="duyet:blog", provenance=said)
        if who == "mal" and draw.random() < 0.3:
            wrong.add(example.id)
            example = replace(example, label=Label(Head.SPAM, not example.label.positive))
        examples.append(example)
    return resolved(examples), wrong


def test_wrong_labels_are_among_the_first_four_times_as_often_as_among_all(labelled):
    found, wrong = labelled

    looked = audited(found, SMALL)

    first = [suspect.example.id in wrong for suspect in looked.suspects[: len(wrong)]]
    at_random = len(wrong) / looked.judged
    assert sum(first) / len(first) > 4 * at_random
    assert (looked.accounts[0].who, looked.judged) == ("mal", len(found.examples))
    assert looked.accounts[0].low > 1.5 * looked.accounts[0].others
    assert looked.left_out.keys() == {"toxicity"}


@pytest.mark.parametrize("given", [{"id": "", "group": ""}, {"group": "one article"}])
def test_rows_without_names_or_of_one_article_are_judged_as_others_are(labelled, given):
    """Rows of a file need have neither an id nor a group; a site may send no article."""
    found, _ = labelled
    named = audited(found, SMALL)

    looked = audited(resolved([replace(e, **given) for e in found.examples]), SMALL)

    assert looked.judged == named.judged
    assert len(looked.suspects) < 1.2 * len(named.suspects)


def test_of_too_few_labels_nothing_is_said():
    few = [e for e in read_examples(TEXTS / "vi_spam.jsonl")][: LEAST - 1]

    looked = audited(resolved(few), SMALL)

    assert looked.suspects == ()
    assert set(looked.left_out) == {"spam", "toxicity"}


def test_the_report_holds_no_text(labelled):
    found, _ = labelled

    body = label_report(found.examples, found, [{"ann": "spam", "bob": "accept"}])

    assert body["labels"] == len(found.examples)
    assert body["agreement"]["same_comments"]["agreed"] == 0.0
    assert not [e.text for e in found.examples if len(e.text) > 20 and e.text in str(body)]


# ------------------------------------------------------------------ what to label next

PRAISE = "Bài viết phân tích rất kỹ, mình đọc hai lần và đồng ý với phần lớn những gì tác giả nêu"
LOAN = "Vay tiền nhanh trong ngày, không cần thế chấp, lãi suất thấp, giải ngân tận nhà, gọi ngay"


def candidate(id: str, doubt: float, text: str) -> Candidate:
    return Candidate(id, doubt, sketch_of(gather(Submission(text))))


def test_the_next_ones_are_unsure_and_unlike_each_other():
    waiting = [
        candidate("a", 0.9, LOAN),
        candidate("b", 0.9, LOAN),
        candidate("c", 0.5, PRAISE),
        candidate("d", 0.1, "Hay"),
    ]

    picks = most_telling(waiting, 9)

    assert [pick.id for pick in picks] == ["a", "c", "d", "b"]
    assert picks[0] == Pick("a", 0.9, 0.9)
    assert picks[-1].worth == 0.0
    assert most_telling([], 3) == most_telling(waiting, 0) == []


def test_two_comments_share_a_cell_as_often_as_they_are_alike():
    ends = [f"{LOAN} {chr(97 + n % 26)}{chr(97 + n // 26)} quanh năm" for n in range(200)]

    shared = sum(cell_of(one) == cell_of(LOAN) for one in ends) / len(ends)

    assert cell_of(LOAN) == cell_of(LOAN.upper())
    assert cell_of(LOAN) != cell_of(PRAISE)
    assert cell_of("hay") == cell_of("Hay!") != cell_of("dở")
    assert shared > 0.5
    assert 0 <= cell_of("") < 2**32
