"""What a site laid down, in a verdict: which rules hit, by which laws, and again years later."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.facts import gather
from model.judging import Case, judge
from model.lists import Act, Entry, Kind, Lists, Searched
from model.outcome import HeadThresholds, Outcome, Scores, Thresholds
from model.policy import Policy
from model.rules import SITE_RULES, hits
from model.site_rules import (
    Applied,
    AuthorRule,
    Met,
    Raid,
    SiteRules,
    Standing,
    article_name,
)
from model.submission import Author, History, Submission
from model.verdict import Mark, RuleHit, decide

NOW = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)
UNTIL = NOW + timedelta(hours=2)
SAID = Submission(
    "Bán hàng ở https://bao.vn/a nhé", Author("Lan", "lan@mail.example"), "https://bao.vn/bai-1"
)
LISTS = Lists(
    [
        Entry(Kind.WORD, "ban hang", Act.QUEUE),
        Entry(Kind.WORD, "vay nhanh", Act.REJECT),
        Entry(Kind.DOMAIN, "bao.vn", Act.TRUST),
        Entry(Kind.DOMAIN, "cho.vn", Act.QUEUE),
        Entry(Kind.DOMAIN, "bet88.com", Act.REJECT),
    ]
)
BANNED = AuthorRule(Standing.BANNED)
QUEUED = AuthorRule(Standing.QUEUED, UNTIL)
TRUSTED = AuthorRule(Standing.TRUSTED, UNTIL)
RAID = Raid("", NOW, UNTIL)


def met_by(content: str = "hay quá", **applied: object) -> dict[str, RuleHit]:
    submission = replace(SAID, content=content)
    facts = gather(submission)
    searched = Searched(content, "Lan", "", facts.links, "mail.example")
    met = Met(
        applied.get("author"),  # type: ignore[arg-type]
        applied.get("network"),  # type: ignore[arg-type]
        applied.get("raid"),  # type: ignore[arg-type]
        LISTS.found_in(searched),
    )
    names = {rule.name for rule in SITE_RULES}
    found = hits(replace(facts, met=met), Policy())
    return {hit.rule: hit for hit in found if hit.rule in names}


@pytest.mark.parametrize(
    ("content", "applied", "rule", "effect", "evidence"),
    [
        ("hay", {"author": BANNED}, "author.banned", Outcome.REJECT, ""),
        ("hay", {"network": BANNED}, "author.banned", Outcome.REJECT, ""),
        ("hay", {"author": QUEUED}, "author.queued", Outcome.QUEUE, "2026-11-26 10:00 UTC"),
        ("hay", {"author": TRUSTED}, "author.trusted", Outcome.ACCEPT, "2026-11-26 10:00 UTC"),
        ("hay", {"raid": RAID}, "raid.new_author", Outcome.QUEUE, "2026-11-26 10:00 UTC"),
        ("bán hàng", {}, "list.word", Outcome.QUEUE, "ban hang"),
        ("vay nhanh", {}, "list.word_rejected", Outcome.REJECT, "vay nhanh"),
        ("xem cho.vn", {}, "list.domain", Outcome.QUEUE, "cho.vn"),
        ("bet88.com", {}, "list.domain_rejected", Outcome.REJECT, "bet88.com"),
        ("xem bao.vn", {}, "list.domain_trusted", Outcome.ACCEPT, "bao.vn"),
    ],
)
def test_what_a_site_laid_down_is_a_hit_with_evidence(content, applied, rule, effect, evidence):
    found = met_by(content, **applied)

    assert {(h.rule, h.effect, h.evidence) for h in found.values()} == {(rule, effect, evidence)}


def test_nothing_that_was_laid_down_hits_an_ordinary_comment():
    assert met_by() == {}


def test_one_trusted_by_name_is_not_met_by_what_is_for_others():
    found = met_by(author=TRUSTED, network=BANNED, raid=RAID)

    assert set(found) == {"author.trusted"}


@pytest.mark.parametrize("effect", Outcome)
def test_a_site_chooses_what_a_ban_does(effect):
    facts = replace(gather(SAID), met=Met(BANNED, None, None, ()))

    found = hits(facts, Policy(effects={"author.banned": effect}))

    assert [h.effect for h in found if h.rule == "author.banned"] == [effect]


AT = HeadThresholds(Thresholds(0.4, 0.7), Thresholds(0.5, 0.9))
standings = st.none() | st.sampled_from([BANNED, QUEUED, TRUSTED])
contents = st.lists(
    st.sampled_from(["hay quá", "bán hàng", "vay nhanh", "bao.vn/x", "cho.vn", "bet88.com"]),
    max_size=4,
).map(", ".join)
all_scores = st.none() | st.builds(Scores, spam=st.floats(0, 1), toxicity=st.floats(0, 1))


@given(
    content=contents,
    author=standings,
    network=st.none() | st.just(BANNED),
    raid=st.none() | st.just(RAID),
    scores=all_scores,
)
def test_what_a_site_lays_down_obeys_the_policy_s_laws(content, author, network, raid, scores):
    facts = gather(Submission(content))
    found = LISTS.found_in(Searched(content, "", "", facts.links, ""))
    policy = Policy()

    def outcome(with_rules: bool) -> Outcome:
        met = Met(author, network, raid, found) if with_rules else None
        return decide(policy, scores, hits(replace(facts, met=met), policy), model_thresholds=AT)

    without, laid_down = outcome(False), outcome(True)
    laid = hits(replace(facts, met=Met(author, network, raid, found)), policy)
    asked = max((h.effect for h in laid if not h.trust), default=Outcome.ACCEPT)
    assert laid_down >= asked
    assert laid_down >= without - 1
    if not any(h.trust for h in laid):
        assert laid_down >= without
    if scores is None:
        assert laid_down >= Outcome.QUEUE


def applied(**more: object) -> Applied:
    return Applied(version=7, lists=LISTS, **more)  # type: ignore[arg-type]


def test_a_verdict_names_the_version_and_marks_where_an_entry_stands():
    content = "Nhà có <b>bán</b> hàng, xem cho.vn"
    case = Case(
        replace(SAID, content=content), History(), Policy(), "p", applied=applied(raid=RAID)
    )

    (verdict,) = judge([case], None)

    assert verdict.laid is not None
    assert verdict.laid.version == 7
    marked = [content[m.start : m.end] for m in verdict.laid.marks]
    assert marked == ["bán</b> hàng", "cho.vn"]
    assert all(isinstance(m, Mark) and m.field == "content" for m in verdict.laid.marks)
    assert {"list.word", "list.domain", "raid.new_author"} <= {r.code for r in verdict.reasons}


def test_trust_does_not_publish_what_has_no_score():
    case = Case(SAID, History(), Policy(), "p", applied=applied(author=TRUSTED))

    (verdict,) = judge([case], None)

    assert (verdict.outcome, verdict.scores) == (Outcome.QUEUE, None)


def test_a_site_without_rules_leaves_no_trace():
    (verdict,) = judge([Case(SAID, History(), Policy(), "p")], None)

    assert verdict.laid is None


def test_what_has_ended_does_not_count_and_a_clock_set_back_ends_no_raid():
    rules = SiteRules(3, {"a": QUEUED}, {"n": BANNED}, (RAID,), Lists([]))

    def at(moment: datetime) -> Applied:
        raid = rules.raid_on(moment, "https://bao.vn/bai-1")
        return rules.applied(moment, author="a", network="n", raid=raid, published=False)

    now, late, early = at(NOW), at(UNTIL), at(NOW - timedelta(days=400))
    assert (now.author, now.network, now.raid) == (QUEUED, BANNED, RAID)
    assert (late.author, late.network, late.raid) == (None, BANNED, None)
    assert early.raid is RAID
    assert at(datetime(9999, 12, 31, tzinfo=UTC)).author is None


def test_an_article_is_known_by_its_address_without_what_comes_after():
    names = {article_name(f"https://bao.vn/bai-1{end}") for end in ("", "/", "#c-9", "/#c")}

    assert names == {"https://bao.vn/bai-1"}
    assert article_name("https://bao.vn/bai-1?p=2") != "https://bao.vn/bai-1"
    assert "lan@mail.example" not in article_name("https://bao.vn/?u=lan@mail.example")
