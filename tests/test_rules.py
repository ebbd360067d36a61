import logging
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given

from model.addresses import has_address
from model.facts import DecidedTwin, gather
from model.language import LANGUAGES
from model.outcome import Outcome
from model.policy import Policy
from model.rules import FAILED, RULES, SITE_RULES, Rule, hits
from model.submission import Author, FormFacts, History, Submission
from tests.judging_cases import any_text


def said(content: str = "Bài viết rất hay, cảm ơn tác giả.", **author: str) -> Submission:
    return Submission(content, Author(**author))


def form(**facts: object) -> Submission:
    return Submission("Bài viết rất hay", form=FormFacts(**facts))  # type: ignore[arg-type]


def hit_names(
    submission: Submission, history: History | None = None, policy: Policy | None = None
) -> list[str]:
    return [hit.rule for hit in hits(gather(submission, history), policy or Policy())]


LINKS = " ".join(f"http://trang{n}.vn/bai" for n in range(9))

HITS = [
    ("form.honeypot", form(honeypot="http://x.vn"), History()),
    ("form.too_fast", form(seconds_to_fill=1.9), History()),
    ("form.too_fast", form(seconds_to_fill=0.0), History()),
    ("links.too_many", said(LINKS), History()),
    ("text.active_markup", said("<script>alert(1)</script>"), History()),
    ("text.active_markup", said("< IFRAME src=x>"), History()),
    ("text.active_markup", said('<img src=x onerror = "x()">'), History()),
    ("text.active_markup", said("<a href='javascript:alert(1)'>đây</a>"), History()),
    ("text.active_markup", said('<a href=" javascript: alert(1)">đây</a>'), History()),
    ("text.active_markup", said("bấm JAVASCRIPT:alert(1)"), History()),
    ("text.active_markup", said("bấm java\u017fcr\u0131pt:alert(1)"), History()),
    ("text.active_markup", said("x onmou\u017feover =f()"), History()),
    ("text.active_markup", said("x onclic\u212a=f()"), History()),
    ("text.invisible", said("n\u200bổ h\u200bũ"), History()),
    ("text.invisible", said("sl\u200b\u200bot"), History()),
    ("text.direction", said("hay \u202equá"), History()),
    ("text.direction", said(name="Lan\u202e"), History()),
    ("text.disguised", said("ＳＬＯＴ hay"), History()),
    ("text.disguised", said("𝐧ạ𝐩 𝐭𝐢𝐞𝐧"), History()),
    ("text.stacked_marks", said("h" + "\u0336\u0301\u0316\u0323\u0302" + "ay"), History()),
    ("author.name_is_link", said(name="https://nohu.vn"), History()),
    ("author.name_is_link", said(name="Vào WWW.nohu.vn"), History()),
    ("author.disposable_address", said(email="lan@mailinator.com"), History()),
    ("author.flood", said(), History(seconds_since_author=14.9)),
    ("author.flood", said(), History(seconds_since_author=-3.0)),
    ("author.rejected_before", said(), History(author_rejected=1)),
    ("text.twin", said(), History(same_article_twin=True)),
    ("text.rejected_before", said(), History(text_rejected=1)),
    ("author.known", said(), History(author_accepted=2)),
]

NEAR_MISSES = [
    ("form.honeypot", form(honeypot="  \n"), History()),
    ("form.too_fast", form(seconds_to_fill=2.0), History()),
    ("form.too_fast", form(), History()),
    ("links.too_many", said("Xem http://trang.vn/bai và http://b.vn"), History()),
    ("links.too_many", said("Lúc 10.30, giá 3.500.000đ, bản v1.2.3"), History()),
    ("text.active_markup", said("Tôi học JavaScript: rất hay"), History()),
    ("text.active_markup", said("kịch bản (script), khung <b>form</b>, a < b"), History()),
    ("text.active_markup", said("season=3, one onload thì sao"), History()),
    ("text.invisible", said("một\u200b chỗ"), History()),
    ("text.invisible", said("👨\u200d👩\u200d👧 ❤️\u200d🔥 1️⃣2️⃣3️⃣ 🇻🇳 đẹp ☺️ ©️"), History()),
    ("text.invisible", said("mới 🫨 mới 🫨 mới 🫩"), History()),
    ("text.invisible", said("می‌خواهم کتاب‌ها را بخوانم"), History()),
    ("text.invisible", said("क्\u200dष श्री\u200cमान क्\u200dष"), History()),
    ("text.direction", said("שלום\u200f עולם"), History()),
    ("text.disguised", said("CO₂ và H₂O, 5m², ① ② ③ ④, №1, ABC™"), History()),
    ("text.disguised", said("Đặng Thị Ngọc Ánh ở Bắc Ninh"), History()),
    ("text.stacked_marks", said(unicodedata.normalize("NFD", "Nguyễn Thuỳ Dương")), History()),
    ("text.stacked_marks", said("น้ำ ที่ ป๊ะ हिन्दी བསྒྲུབས ❤️"), History()),
    ("author.name_is_link", said(name="Awww. Lan"), History()),
    ("author.name_is_link", said(name="Nguyễn Văn A."), History()),
    ("author.disposable_address", said(email="lan@gmail.com"), History()),
    ("author.disposable_address", said(email="mailinator.com"), History()),
    ("author.flood", said(), History(seconds_since_author=15.0)),
    ("author.flood", said(), History()),
    ("author.rejected_before", said(), History(author_rejected=1, author_accepted=1)),
    ("text.twin", said(), History(text_seen=3)),
    ("text.rejected_before", said(), History(text_seen=3)),
    ("author.known", said(), History(author_accepted=1)),
    ("author.known", said(), History(author_accepted=9, author_rejected=1)),
]


@pytest.mark.parametrize(("rule", "submission", "history"), HITS)
def test_a_rule_hits_what_it_is_for(rule, submission, history):
    assert rule in hit_names(submission, history)


@pytest.mark.parametrize(("rule", "submission", "history"), NEAR_MISSES)
def test_a_rule_misses_what_only_looks_like_it(rule, submission, history):
    assert rule not in hit_names(submission, history)


LAID_DOWN = {rule.name for rule in SITE_RULES}
"""What a site lays down itself: tests/test_site_rules.py."""

SETTLED = {
    "memory.rejected_before": Outcome.REJECT,
    "memory.like_rejected": Outcome.QUEUE,
    "memory.accepted_before": Outcome.ACCEPT,
}
"""What people's decisions on nearly the same comment ask for."""


@pytest.mark.parametrize(("rule", "settles"), SETTLED.items())
def test_what_people_decided_on_nearly_the_same_comment_is_a_hit(rule, settles):
    facts = replace(gather(said()), twin=DecidedTwin("c-1", 0.974, 3, settles))

    (hit,) = hits(facts, Policy())

    assert (hit.rule, hit.evidence, hit.field) == (rule, "3×, 97%", "content")
    assert hit.effect is settles
    assert hit.trust == (settles is Outcome.ACCEPT)


def test_a_twin_that_people_disagree_on_hits_nothing():
    facts = replace(gather(said()), twin=DecidedTwin("c-1", 1.0, 2, None))

    assert hits(facts, Policy()) == ()


@pytest.mark.parametrize("effect", Outcome)
def test_a_site_says_itself_what_a_twin_of_rejected_spam_gets(effect):
    facts = replace(gather(said()), twin=DecidedTwin("c-1", 1.0, 1, Outcome.REJECT))

    (hit,) = hits(facts, Policy(effects={"memory.rejected_before": effect}))

    assert hit.effect is effect


def test_every_rule_has_a_hit_and_a_near_miss():
    names = {rule.name for rule in RULES} - LAID_DOWN

    assert {name for name, *_ in HITS} | SETTLED.keys() == names
    assert {name for name, *_ in NEAR_MISSES} | SETTLED.keys() == names
    assert len(names) + len(LAID_DOWN) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_has_a_sentence_in_every_language(rule):
    assert all(language.reasons[rule.name].strip() for language in LANGUAGES.values())


def test_an_ordinary_comment_hits_nothing():
    assert hit_names(said(name="Lan", email="lan@gmail.com", url="https://lan.vn")) == []


def test_only_what_people_rejected_rejects_and_trust_asks_for_nothing():
    rejecting = [rule.name for rule in RULES if rule.effect > Outcome.QUEUE]
    trust = {rule.name: rule.effect for rule in RULES if rule.trust}

    assert rejecting == [
        "author.banned",
        "list.word_rejected",
        "list.domain_rejected",
        "memory.rejected_before",
    ]
    assert trust == dict.fromkeys(
        ("author.trusted", "list.domain_trusted", "author.known", "memory.accepted_before"),
        Outcome.ACCEPT,
    )


@given(content=any_text, name=any_text, email=any_text, url=any_text)
def test_any_submission_is_held_to_the_rules(content, name, email, url):
    facts = gather(Submission(content, Author(name, email, url)))

    found = hits(facts, Policy(max_links=0))

    assert [hit for hit in found if hit.evidence == FAILED] == []
    assert not any(has_address(hit.evidence) for hit in found)


def test_a_policy_sets_how_many_links_and_seconds_are_too_many():
    assert "links.too_many" in hit_names(said("http://a.vn"), policy=Policy(max_links=0))
    assert "links.too_many" not in hit_names(said(LINKS), policy=Policy(max_links=9))
    assert hit_names(said(), History(seconds_since_author=14), Policy(flood_seconds=0)) == []


def test_trust_after_none_trusts_nobody():
    assert hit_names(said(), History(author_accepted=99), Policy(trust_after=0)) == []


@pytest.mark.parametrize("effect", Outcome)
def test_a_policy_replaces_the_effect_of_a_rule(effect):
    policy = Policy(effects={"text.twin": effect, "author.known": Outcome.REJECT})
    history = History(same_article_twin=True, author_accepted=5)

    twin, known = hits(gather(said(), history), policy)

    assert (twin.rule, twin.effect, twin.trust) == ("text.twin", effect, False)
    assert known.trust


def fails(facts: object, policy: object) -> str:
    raise KeyError("canary@x.vn")


def gives_a_number(facts: object, policy: object) -> str:
    return 7  # type: ignore[return-value]


@pytest.mark.parametrize("check", [fails, gives_a_number])
def test_a_rule_that_fails_queues_and_the_others_count(check, caplog):
    found_out = Rule("ok", lambda facts, policy: "seen", Outcome.REJECT, "content")
    broken = Rule("broken", check, Outcome.ACCEPT, "content", trust=True)

    with caplog.at_level(logging.DEBUG):
        found = hits(gather(said()), Policy(), (broken, found_out))

    assert [(h.rule, h.effect, h.trust) for h in found] == [
        ("broken", Outcome.QUEUE, False),
        ("ok", Outcome.REJECT, False),
    ]
    assert found[0].evidence == FAILED
    assert "canary" not in caplog.text
    assert [record.rule for record in caplog.records] == ["broken"]


def test_evidence_masks_addresses_and_stays_short():
    tells = Rule("tells", lambda facts, policy: "lan@gmail.com " * 40, Outcome.QUEUE)

    (hit,) = hits(gather(said()), Policy(), (tells,))

    assert hit.evidence.startswith("l•••@gmail.com l•••@")
    assert not has_address(hit.evidence)
    assert len(hit.evidence) == 120


def test_the_evidence_of_a_disposable_address_is_its_domain_alone():
    (hit,) = hits(gather(said(email="canary@mailinator.com")), Policy())

    assert (hit.evidence, hit.effect) == ("mailinator.com", Outcome.ACCEPT)
