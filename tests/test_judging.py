import logging
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.addresses import has_address, mask_address
from model.classifier import Classifier
from model.judging import NO_MODEL, Case, OfflineJudge, audited, judge, offline_judge
from model.language import LANGUAGES
from model.outcome import Head, Outcome, Scores
from model.policy import Policy
from model.promise import ANY, RISKS, Kept, Promise
from model.reasons import DEFAULT_LANGUAGE, LONGEST_QUOTATION, quotation, sentence
from model.registry import CHAMPION, Registry, RegistryError
from model.rules import RULES
from model.submission import Author, FormFacts, History, Submission
from model.verdict import Verdict
from tests.judging_cases import (
    SMALL,
    THRESHOLDS,
    a_classifier,
    a_manifest,
    a_promise,
    a_table,
    any_text,
)

CLASSIFIER = a_classifier()
SUBMISSION = Submission("Bài viết rất hay", Author("Lan", "lan@gmail.com"))


def leaning(spam: float, toxicity: float) -> Classifier:
    """A model that gives every text these scores, nearly; each character weighs a little."""
    bias = [math.log(p / (1 - p)) for p in (spam, toxicity)]
    return Classifier(
        "leaning", SMALL, np.full((2**12, 2), 1e-5, np.float32), np.array(bias), a_promise()
    )


def judged(
    submission: Submission = SUBMISSION,
    classifier: Classifier | None = CLASSIFIER,
    policy: Policy | None = None,
    history: History | None = None,
) -> Verdict:
    policy = policy or Policy()
    case = Case(submission, history or History(), policy, policy.version)
    return judge([case], classifier)[0]


# --- what a verdict says ---------------------------------------------------------------------


@given(content=any_text, name=any_text, email=any_text, url=any_text, honeypot=any_text)
def test_any_submission_is_judged(content, name, email, url, honeypot):
    submission = Submission(content, Author(name, email, url), form=FormFacts(honeypot))

    verdict = judged(submission, policy=Policy(max_links=0))

    assert verdict.scores is not None
    assert verdict.outcome >= max((hit.effect for hit in verdict.hits), default=Outcome.ACCEPT)
    assert not any(has_address(reason.evidence) for reason in verdict.reasons)
    assert all(sentence(reason.code, "vi") for reason in verdict.reasons)


@pytest.mark.parametrize(
    "content",
    ["", " ", "\x00", "\ud800", "\u202e", "a" * 65_536, "http://x.vn/ " * 10_000,
     "z" + "\u0301\u0316" * 32_000, "lan@x.vn " * 7_000, "@" * 65_536, "&#64;" * 13_000],
    ids=lambda content: ascii(content[:8]),
)  # fmt: skip
def test_the_emptiest_and_longest_contents_are_judged(content):
    assert judged(Submission(content)).scores is not None


def test_a_verdict_names_model_and_policy():
    policy = Policy(max_links=1)

    verdict = judged(policy=policy)

    assert (verdict.model, verdict.policy) == ("test", policy.version)
    assert (verdict.audit, verdict.unaudited) == (False, None)


@pytest.mark.parametrize(
    ("spam", "toxicity", "outcome", "codes"),
    [
        (0.1, 0.1, Outcome.ACCEPT, []),
        (0.7, 0.1, Outcome.QUEUE, ["score.spam_unsure"]),
        (0.95, 0.1, Outcome.REJECT, ["score.spam_likely"]),
        (0.1, 0.8, Outcome.QUEUE, ["score.toxicity_unsure"]),
        (0.95, 0.8, Outcome.REJECT, ["score.spam_likely", "score.toxicity_unsure"]),
    ],
)
def test_scores_are_judged_and_said(spam, toxicity, outcome, codes):
    verdict = judged(classifier=leaning(spam, toxicity))

    assert verdict.outcome is outcome
    assert [reason.code for reason in verdict.reasons] == codes


RISING = Kept(
    5_000,
    50,
    *[
        tuple(np.linspace(high, low, len(RISKS)))
        for high, low in ((0.9, 0.5), (0.9, 0.5), (1, 0.8))
    ],
)


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        ("Bài viết rất hay", Outcome.REJECT),  # its own comments are enough
        ("Статья очень хорошая", Outcome.QUEUE),  # no comments: never rejected
        ("123 456", Outcome.QUEUE),  # no language
    ],
)
def test_a_comment_goes_by_what_is_promised_of_its_language(content, outcome):
    model = replace(leaning(0.97, 0.1), promise=Promise({ANY: RISING, "vi": RISING}))

    verdict = judged(Submission(content), model, Policy(reject_risk=0.05, queue_risk=0.05))

    strength = "likely" if outcome is Outcome.REJECT else "unsure"
    assert verdict.outcome is outcome
    assert [reason.code for reason in verdict.reasons] == [f"score.spam_{strength}"]


def test_a_sites_risks_decide_how_sure_the_machine_must_be():
    model = replace(leaning(0.85, 0.1), promise=Promise({ANY: RISING, "vi": RISING}))
    risks = [(0, 0), (0, 0.0005), (0, 0.05), (0.05, 0.05)]

    outcomes = [
        judged(classifier=model, policy=Policy(reject_risk=reject, queue_risk=queue)).outcome
        for reject, queue in risks
    ]

    assert outcomes == [Outcome.ACCEPT, Outcome.ACCEPT, Outcome.QUEUE, Outcome.REJECT]


def test_a_sites_own_thresholds_come_before_its_risks():
    policy = Policy(thresholds=THRESHOLDS, reject_risk=0, queue_risk=0)

    assert judged(classifier=leaning(0.95, 0.1), policy=policy).outcome is Outcome.REJECT


def test_a_reason_quotes_the_span_that_weighed_most():
    verdict = judged(classifier=leaning(0.95, 0.1))

    (reason,) = verdict.reasons

    heaviest = next(span for span in verdict.spans if span.head is Head.SPAM)
    assert reason.field == heaviest.field
    assert reason.evidence
    assert reason.evidence in "Bài viết rất hay Lan"


def test_scores_come_before_rules_among_the_reasons():
    history = History(same_article_twin=True, author_accepted=5)

    verdict = judged(classifier=leaning(0.7, 0.1), history=history)

    codes = [reason.code for reason in verdict.reasons]
    assert codes == ["score.spam_unsure", "text.twin", "author.known"]


def test_without_a_model_the_comment_is_queued_and_rules_still_count():
    policy = Policy(effects={"text.twin": Outcome.REJECT})

    plain = judged(classifier=None)
    twin = judged(classifier=None, history=History(same_article_twin=True), policy=policy)

    assert (plain.outcome, plain.scores, plain.model) == (Outcome.QUEUE, None, NO_MODEL)
    assert [reason.code for reason in plain.reasons] == ["score.unavailable"]
    assert twin.outcome is Outcome.REJECT


def test_a_site_that_fails_open_publishes_what_could_not_be_scored():
    assert judged(classifier=None, policy=Policy(fail_open=True)).outcome is Outcome.ACCEPT


@pytest.mark.parametrize("weight", [math.nan, math.inf])
def test_a_model_that_cannot_score_queues_and_logs_no_text(weight, caplog):
    table = np.full((2**12, 2), weight, np.float32)
    broken = Classifier("broken", SMALL, table, np.array([0.0, -math.inf]), a_promise())

    with caplog.at_level(logging.DEBUG):
        verdict = judged(Submission("canary@x.vn"), broken)

    assert (verdict.outcome, verdict.scores, verdict.spans) == (Outcome.QUEUE, None, ())
    assert [record.message for record in caplog.records] == ["scoring failed"]
    assert "canary" not in str([record.__dict__ for record in caplog.records])


def test_what_cannot_even_be_read_is_queued(caplog):
    unreadable = Submission(7)

    verdict = judged(unreadable, policy=Policy(fail_open=True))

    assert verdict.outcome is Outcome.QUEUE
    assert [reason.code for reason in verdict.reasons] == ["judging.failed"]


# --- reasons in words ------------------------------------------------------------------------

CODES = [
    *(rule.name for rule in RULES),
    *(f"score.{head}_{strength}" for head in Head for strength in ("likely", "unsure")),
    *("score.unavailable", "audit.sample", "judging.failed"),
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_sentence_in_every_language(code, language):
    assert len(sentence(code, language).split()) > 2


def test_languages_say_it_in_their_own_words():
    said = {tag: [sentence(code, tag) for code in CODES] for tag in LANGUAGES}

    assert set(said["vi"]).isdisjoint(said["en"])
    assert sentence(CODES[0], "tlh") == sentence(CODES[0], DEFAULT_LANGUAGE)


LOCAL = "zqxjkv"
ADDRESSES = [f"{LOCAL}@mail.vn", f"{LOCAL}%40mail.vn", f"{LOCAL}&#64;mail.vn", f"{LOCAL}＠mail。vn"]
around = st.text(st.sampled_from("ab ệ<>\"'.,:;/?=&@%-\u200b\n"), max_size=100)


@given(
    address=st.sampled_from(ADDRESSES),
    before=around,
    after=around,
    ends=st.tuples(st.integers(0, 300), st.integers(0, 300)),
)
@example(address=ADDRESSES[0], before="a" * 100, after="", ends=(80, 103))
@example(address=ADDRESSES[0], before=" ", after=" " * 99, ends=(3, 5))
def test_a_quotation_never_holds_a_part_of_an_address(address, before, after, ends):
    text = before + address + after
    start, end = sorted(min(at, len(text)) for at in ends)

    quoted = quotation(text, start, end)

    assert not has_address(quoted)
    assert not any(LOCAL[at : at + 2] in quoted for at in range(len(LOCAL) - 1))
    assert len(quoted) <= LONGEST_QUOTATION


@given(text=any_text, ends=st.tuples(st.integers(0, 99), st.integers(0, 99)))
def test_any_range_of_any_text_can_be_quoted(text, ends):
    start, end = sorted(min(at, len(text)) for at in ends)

    quoted = quotation(text, start, end)

    assert not has_address(quoted)
    assert len(quoted) <= LONGEST_QUOTATION


def test_a_quotation_is_of_whole_words():
    assert quotation("nạp tiền nhận thưởng ngay", 5, 10) == "tiền nhận"
    assert quotation("liên hệ nam.le@gmail.com nhé", 12, 14) == mask_address("nam.le@gmail.com")


@given(content=st.lists(st.sampled_from(ADDRESSES) | around).map(" ".join))
def test_no_reason_holds_a_part_of_an_address(content):
    author = Author(ADDRESSES[0], ADDRESSES[0], f"http://x.vn/?e={ADDRESSES[1]}")

    verdict = judged(Submission(content, author), leaning(0.95, 0.8), Policy(max_links=0))

    assert LOCAL not in str([(reason.evidence, reason.field) for reason in verdict.reasons])
    assert LOCAL not in repr(verdict)


# --- the audit sample ------------------------------------------------------------------------

ACCEPTED = judged(classifier=leaning(0.1, 0.1))
REJECTED = judged(classifier=leaning(0.95, 0.1))
QUEUED = judged(classifier=leaning(0.7, 0.1))
IDS = [f"comment-{n}" for n in range(4_000)]


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_the_share_that_is_audited_is_the_rate(rate):
    drawn = sum(audited(ACCEPTED, Policy(audit_rate=rate), comment_id).audit for comment_id in IDS)

    deviation = math.sqrt(rate * (1 - rate) / len(IDS))
    assert drawn / len(IDS) == pytest.approx(rate, abs=4 * deviation)


def test_a_rate_of_nought_draws_none_and_of_one_every_comment():
    assert not any(audited(ACCEPTED, Policy(audit_rate=0), i).audit for i in IDS)
    assert all(audited(ACCEPTED, Policy(audit_rate=1), i).audit for i in IDS)


def test_a_comment_drawn_at_a_low_rate_is_drawn_at_every_higher_one():
    low = {i for i in IDS if audited(ACCEPTED, Policy(audit_rate=0.02), i).audit}
    high = {i for i in IDS if audited(ACCEPTED, Policy(audit_rate=0.2), i).audit}

    assert low
    assert low < high


@pytest.mark.parametrize("verdict", [ACCEPTED, REJECTED])
def test_an_audited_verdict_is_queued_and_keeps_what_it_was(verdict):
    drawn = audited(verdict, Policy(audit_rate=1), "any")

    assert (drawn.outcome, drawn.audit) == (Outcome.QUEUE, True)
    assert drawn.unaudited is verdict.outcome
    assert drawn.reasons[-1].code == "audit.sample"
    was = {"outcome": verdict.outcome, "reasons": verdict.reasons}
    assert replace(drawn, audit=False, unaudited=None, **was) == verdict


def test_what_waits_for_a_person_anyway_is_never_drawn():
    assert audited(QUEUED, Policy(audit_rate=1), "any") is QUEUED


def test_the_draw_is_the_same_each_time():
    policy = Policy(audit_rate=0.3)

    assert [audited(ACCEPTED, policy, i) for i in IDS[:50]] == [
        audited(ACCEPTED, policy, i) for i in IDS[:50]
    ]


# --- offline ---------------------------------------------------------------------------------


def test_an_offline_judge_judges_in_order_and_by_the_default_policy():
    judge_offline = OfflineJudge(leaning(0.1, 0.1))
    batch = [SUBMISSION, Submission("<script>"), SUBMISSION]

    verdicts = judge_offline.check(batch)

    assert [v.outcome for v in verdicts] == [Outcome.ACCEPT, Outcome.QUEUE, Outcome.ACCEPT]
    assert {v.policy for v in verdicts} == {Policy().version}


def test_an_offline_judge_may_be_asked_for_a_version(tmp_path):
    registry = Registry(tmp_path)
    version = registry.add(a_manifest(), a_table())

    asked = offline_judge(tmp_path, version)

    assert asked.classifier is not None
    assert asked.classifier.version == version
    with pytest.raises(RegistryError, match=CHAMPION):
        offline_judge(tmp_path, None)


def test_scores_are_probabilities():
    (verdict,) = OfflineJudge(CLASSIFIER).check([SUBMISSION])

    assert isinstance(verdict.scores, Scores)
    assert 0 < verdict.scores.spam < 1
