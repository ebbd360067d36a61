"""The card and what its script is answered, as HTTP. Browsers: tests/browser."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from model.decision import RejectReason
from model.outcome import Outcome
from model.policy import Policy
from model.submission import FormFacts, History
from model.verdict import Reason, Verdict
from service.campaigns import CampaignFinder
from service.storage import QueueItem, Role, StoredComment, Waiting
from service.storage.context import context_of
from service.web.card import Card, card_of, first_of, pieces_of
from service.web.queue import AT_FIRST
from tests.browser.newsroom import ADDRESS, SPAM, Newsroom, form_token, open_newsroom, verdict_on
from tests.storage.cases import accept, asked, put

NO_SUCH_COMMENT = "01890000-0000-7000-8000-000000000000"
SCRIPT = {"accept": "application/json"}
PART = {"x-part": "1"}


@pytest.fixture
def newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    with open_newsroom(tmp_path) as newsroom:
        yield newsroom


@dataclass
class Record:
    right: int
    of: int


def shown(comment: StoredComment, *, records: dict[tuple[str, str], Record] | None = None) -> Card:
    return card_of(QueueItem(comment, Waiting.VERDICT), language="en", site="", records=records)


def with_reasons(*reasons: Reason, **scores: float) -> Verdict:
    return replace(verdict_on(SPAM, **scores), reasons=reasons)  # type: ignore[arg-type]


def pressed(
    client: httpx.Client, comment_id: str, what: str = "accept", **fields: str
) -> httpx.Response:
    headers = SCRIPT | {"x-form-token": form_token(client)}
    return client.post(f"/queue/{comment_id}/{what}", data=fields, headers=headers)


# ------------------------------------------------------------------ what a card says


@pytest.mark.parametrize(
    ("codes", "standing", "folded"),
    [
        ((), "fine", False),
        (("score.spam_unsure",), "unsure", False),
        (("score.toxicity_unsure",), "unsure", False),
        (("score.spam_likely", "score.toxicity_unsure"), "spam", False),
        (("score.toxicity_likely",), "toxic", True),
        (("score.spam_likely", "score.toxicity_likely"), "spam", True),
    ],
)
def test_one_word_says_what_it_is_taken_for_and_toxic_text_is_folded(
    newsroom: Newsroom, codes: tuple[str, ...], standing: str, folded: bool
) -> None:
    comment = newsroom.comment(newsroom.put(SPAM, with_reasons(*map(Reason, codes))))

    card = shown(comment)

    assert (card.standing, card.is_folded) == (standing, folded)


def test_what_no_model_scored_is_not_called_fine(newsroom: Newsroom) -> None:
    verdict = replace(with_reasons(Reason("score.unavailable")), scores=None)

    assert shown(newsroom.comment(newsroom.put(SPAM, verdict))).standing == "unknown"


@pytest.mark.parametrize(("of", "told"), [(19, False), (20, True), (100, True)])
def test_a_record_is_told_from_twenty_decisions_on(newsroom: Newsroom, of: int, told: bool) -> None:
    comment = newsroom.comment(newsroom.put())
    records = {(comment.site_id, "score.spam_unsure"): Record(19, of)}

    (reason,) = shown(comment, records=records).reasons

    assert (reason.record is not None) is told


def test_the_record_of_another_site_is_not_told(newsroom: Newsroom) -> None:
    comment = newsroom.comment(newsroom.put())

    (reason,) = shown(comment, records={("x", "score.spam_unsure"): Record(99, 100)}).reasons

    assert reason.record is None


@pytest.mark.parametrize(
    ("reason", "marked"),
    [
        (Reason("author.disposable_address", "author.email", "thu.example"), ["thu.example"]),
        (Reason("author.disposable_address", "author.email", "THU.example"), ["thu.example"]),
        (Reason("author.known", "author.email", "3×"), []),
        (Reason("links.too_many", "content", "thu.example"), []),
    ],
)
def test_the_domain_of_the_address_is_marked_where_a_reason_is_about_it(
    newsroom: Newsroom, reason: Reason, marked: list[str]
) -> None:
    comment = newsroom.comment(newsroom.put(SPAM, with_reasons(reason)))

    email = shown(comment).email

    assert [piece.text for piece in email if piece.head] == marked
    assert "".join(piece.text for piece in email) == "t•••@thu.example"


def test_links_are_named_by_where_they_lead_however_they_are_dressed(newsroom: Newsroom) -> None:
    said = '<a href="https://evil.example/x">bank.com</a> [url=http://two.example]x[/url] ' + (
        " ".join(f"https://site{n}.example/" for n in range(9))
    )
    card = shown(newsroom.comment(newsroom.say(said)))

    assert card.hosts[:2] == ("evil.example", "two.example")
    assert (len(card.hosts), card.more_hosts) == (6, 5)


def test_history_form_facts_and_the_parent_are_on_the_card(newsroom: Newsroom) -> None:
    sent = replace(SPAM, form=FormFacts("x", 1.25), parent_id="<b>77")
    newsroom.put(SPAM)
    newsroom.put(sent)
    with newsroom.moderator() as client:
        text = client.get("/queue").text

    assert "First comment from this author." in text
    assert "Author seen 1× before: 0 accepted, 0 rejected." in text
    assert "The hidden field of the form was filled in." in text
    assert "Form filled in within 1.2 s." in text.replace("\u2068", "").replace("\u2069", "")
    assert "&lt;b&gt;77" in text


@pytest.mark.parametrize(("toxicity", "folded"), [(0.89, False), (0.9, True), (0.999, True)])
def test_what_waits_for_its_toxicity_is_folded_where_that_is_nearly_sure(
    newsroom: Newsroom, toxicity: float, folded: bool
) -> None:
    judged = with_reasons(Reason("score.toxicity_unsure", "content"), toxicity=toxicity)
    card = shown(newsroom.comment(newsroom.put(SPAM, judged)))
    assert (card.standing, card.is_folded) == ("unsure", folded)


def test_a_folded_card_repeats_nothing_of_the_text_outside_of_the_fold(newsroom: Newsroom) -> None:
    reason = Reason("score.toxicity_likely", "content", "lãi suất 0%")
    newsroom.put(SPAM, with_reasons(reason))
    with newsroom.moderator() as client:
        text = client.get("/queue").text

    folded = re.search(r'<details class="folded">.*?</details>', text, re.DOTALL)
    assert folded is not None
    assert "lãi suất 0%" in folded[0]
    assert "lãi suất 0%" not in text.replace(folded[0], "")


def test_a_shortened_text_never_ends_within_an_address() -> None:
    text = "x" * 60 + " tran.van.kiem@thu.example " + "y" * 50

    for letters in range(1, 130):
        pieces, is_cut = first_of(pieces_of(text), letters)
        assert "tran.van" not in "".join(piece.text for piece in pieces)
        assert is_cut is (letters < sum(len(piece.text) for piece in pieces_of(text)))


def test_history_is_what_was_known_at_the_time(newsroom: Newsroom) -> None:
    first, second = newsroom.put(), newsroom.put()
    newsroom.store.decide(None, first, accept(newsroom.clock()))

    assert shown(newsroom.comment(second)).history == replace(
        History(), author_seen=1, text_seen=1, same_article_twin=True, seconds_since_author=60.0
    )


# ------------------------------------------------------------------ decisions for a script


def test_a_script_is_answered_what_stands(newsroom: Newsroom) -> None:
    one = newsroom.put()
    with newsroom.moderator() as client:
        decided = pressed(client, one, "reject", reason="off_topic")
        twice = pressed(client, one, "reject", reason="off_topic")
        undone = pressed(client, one, "undo")

    assert [answer.status_code for answer in (decided, twice, undone)] == [200] * 3
    assert decided.json() == twice.json() == {"id": one, "said": "off_topic"}
    assert undone.json() == {"id": one}
    assert newsroom.comment(one).state is Outcome.QUEUE
    assert decided.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("what", ["accept", "undo"])
def test_a_script_is_told_whose_decision_stands(newsroom: Newsroom, what: str) -> None:
    one = newsroom.put()
    with newsroom.moderator("an") as an, newsroom.moderator("mai") as mai:
        pressed(an, one, "reject", reason="spam")

        answer = pressed(mai, one, what)

    assert (answer.status_code, answer.json()["kind"]) == (409, "already_decided")
    assert "\u2068an\u2069: \u2068rejected as spam\u2069" in answer.json()["body"]
    decision = newsroom.comment(one).decision
    assert decision is not None
    assert (decision.moderator, decision.reason) == ("an", RejectReason.SPAM)


def test_a_script_is_told_what_went_wrong_in_its_language(newsroom: Newsroom) -> None:
    one = newsroom.put()
    with newsroom.moderator() as client, newsroom.visitor() as stranger:
        token = {"x-form-token": form_token(client)}
        answers = [
            stranger.post(f"/queue/{one}/accept", headers=SCRIPT | token),
            client.post(f"/queue/{one}/accept", headers=SCRIPT),
            client.post(f"/queue/{one}/accept", headers=SCRIPT | token | {"origin": "null"}),
            client.post(f"/queue/{NO_SUCH_COMMENT}/accept", headers=SCRIPT | token),
            client.post(f"/queue/{one}/undo", headers=SCRIPT | token | {"accept-language": "vi"}),
        ]

    assert [(a.status_code, a.json()["kind"]) for a in answers] == [
        (401, "signed_out"),
        (403, "not_our_form"),
        (403, "not_our_form"),
        (404, "unknown_comment"),
        (409, "nothing_to_undo"),
    ]
    assert answers[-1].json()["title"] == "Không có gì để hoàn tác"
    assert newsroom.comment(one).decision is None


# ------------------------------------------------------------------ parts for a script


def test_the_next_cards_come_without_the_frame_and_end_without_going_round(
    newsroom: Newsroom,
) -> None:
    ids = [newsroom.put() for _ in range(AT_FIRST + 3)]
    with newsroom.moderator() as client:
        (path,) = re.findall(r'rel="next" href="([^"]+)"', client.get("/queue").text)

        part = client.get(path.replace("&amp;", "&"), headers=PART)
        for one in ids[AT_FIRST:]:
            newsroom.store.decide(None, one, accept(newsroom.clock()))
        end = client.get(path.replace("&amp;", "&"), headers=PART)
        nonsense = client.get("/queue?after=AAAA", headers=PART)

    assert re.findall(r'data-card="([^"]+)"', part.text) == ids[AT_FIRST:]
    assert "<html" not in part.text
    assert 'rel="next"' not in part.text
    assert [(a.status_code, a.text.strip()) for a in (end, nonsense)] == [(200, "")] * 2


def test_the_card_of_what_waits_and_what_became_of_the_rest(newsroom: Newsroom) -> None:
    waiting, decided = newsroom.put(), newsroom.put()
    newsroom.store.decide(None, decided, accept(newsroom.clock(), "an"))
    with newsroom.moderator() as client:
        card, gone = (client.get(f"/queue/{one}/card") for one in (waiting, decided))
        ids = [waiting, decided, NO_SUCH_COMMENT]
        standing = client.get("/queue/standing", params={"id": ids}, headers=SCRIPT)
        bad = [
            client.get("/queue/standing", params={"id": one}, headers=SCRIPT).status_code
            for one in (["x"], ["\0"], [waiting] * 501)
        ]

    assert (card.status_code, gone.status_code) == (200, 404)
    assert f'data-card="{waiting}"' in card.text
    assert standing.json() == {"gone": [{"id": decided, "by": "an", "said": "accept"}]}
    assert bad == [400] * 3


# ------------------------------------------------------------------ context


def test_context_is_a_page_and_for_a_script_a_part_of_one(newsroom: Newsroom) -> None:
    evil = "<img src=x onerror=alert(1)>\u202e{{7*7}}"
    waiting, other = newsroom.put(), newsroom.say(evil, name=evil)
    newsroom.store.decide(None, other, accept(newsroom.clock(), "an"))
    with newsroom.moderator() as client:
        page = client.get(f"/queue/{waiting}/context")
        part = client.get(f"/queue/{waiting}/context", headers=PART)

    assert (page.status_code, part.status_code) == (200, 200)
    assert ("<html" in page.text, "<html" in part.text) == (True, False)
    assert "&lt;img src=x onerror=alert(1)&gt;" in part.text
    assert "<img" not in part.text
    assert "\u202e" not in part.text
    assert "\u2068an\u2069: \u2068accepted\u2069." in part.text
    assert ADDRESS not in page.text
    assert "kiem.vay@" not in page.text


def test_context_has_what_links_alike_and_what_is_of_one_campaign(newsroom: Newsroom) -> None:
    shop, _ = newsroom.store.add_site("shop", Policy())
    words = "Mọi người vào xem chỗ này đi, giá rẻ bất ngờ, giao ngay trong ngày cho cả nhà nhé"
    ids = [newsroom.say(f"{words} {n} https://cho-re.example/{n}", url="") for n in range(3)]
    linking = newsroom.say("Hàng đẹp ở HTTPS://www.Cho-Re.example/x", url="")
    named = newsroom.say("Không phải https://ngo-cho-re.example.org/cho-re", url="")
    newsroom.store.decide(None, linking, accept(newsroom.clock(), "an"))
    sent = replace(SPAM, content=f"{words} https://cho-re.example/9")
    put(newsroom.store, asked(shop, newsroom.clock(), sent), by=verdict_on(sent))
    CampaignFinder(newsroom.store).turn()

    found = context_of(newsroom.store, None, ids[0])

    assert found is not None
    assert [one.id for one in found.alike] == ids[:0:-1]
    assert found.domains == ("cho-re.example",)
    assert [one.id for one in found.linked] == [linking, *ids[:0:-1]]
    assert named not in {one.id for one in found.linked}


def test_another_site_s_comment_has_no_card_context_claim_or_standing(newsroom: Newsroom) -> None:
    shop, _ = newsroom.store.add_site("shop", Policy())
    (hidden,) = put(newsroom.store, asked(shop, newsroom.clock(), SPAM), by=verdict_on(SPAM))
    here = newsroom.put()
    newsroom.store.decide(None, hidden, accept(newsroom.clock()))
    newsroom.store.add_moderator("lan", Role.MODERATOR, site_id=newsroom.site.id)
    with newsroom.moderator("lan") as lan:
        headers = SCRIPT | {"x-form-token": form_token(lan)}
        answers = [
            (
                lan.get(f"/queue/{one}/card", headers=headers),
                lan.get(f"/queue/{one}/context", headers=headers),
                lan.post(f"/queue/{one}/claim", headers=headers),
            )
            for one in (hidden, NO_SUCH_COMMENT)
        ]
        standing = lan.get("/queue/standing", params={"id": [hidden, here]}, headers=headers)

    assert [a.json() for a in answers[0]] == [a.json() for a in answers[1]]
    assert {a.status_code for a in answers[0]} == {404}
    assert standing.json() == {"gone": []}


# ------------------------------------------------------------------ claims


def test_others_see_who_is_looking_until_they_leave(newsroom: Newsroom) -> None:
    one = newsroom.put()
    with newsroom.moderator("lan") as lan, newsroom.moderator("mai") as mai:
        headers = SCRIPT | {"x-form-token": form_token(lan)}
        claimed = lan.post(f"/queue/{one}/claim", headers=headers)
        seen = [client.get("/queue").text for client in (lan, mai)]
        lan.post("/queue/leave", headers=headers)
        after = mai.get("/queue").text

    assert claimed.status_code == 200
    told = ["\u2068lan\u2069 is looking at this." in text for text in (*seen, after)]
    assert told == [False, True, False]


def test_a_viewer_claims_nothing(newsroom: Newsroom) -> None:
    one = newsroom.put()
    with newsroom.moderator("vi", Role.VIEWER) as viewer:
        # A viewer's page has no form: the token is read off the one to sign out.
        headers = SCRIPT | {"x-form-token": form_token(viewer)}
        answer = viewer.post(f"/queue/{one}/claim", headers=headers)

    assert answer.status_code == 403
