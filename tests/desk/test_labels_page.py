"""The page of labels over HTTP: who sees what of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from model.decision import Decision, RejectReason
from model.outcome import Outcome
from model.policy import Policy
from service.storage import Role
from service.storage.label_findings import FindingKind, LabelFindings
from tests.browser.newsroom import Newsroom, open_newsroom

AGREED = {"units": 12, "agreed": 0.9, "value": 0.75, "low": 0.5, "high": 0.95}
UNTOLD = {"units": 0, "agreed": None, "value": None, "low": None, "high": None}
REPORT = {
    "labels": 1234,
    "teaching": 987,
    "campaigns": {"number": 3},
    "conflicts": {"again": 2, "copies": 3},
    "agreement": {
        "near_duplicates": {"spam": AGREED, "toxicity": UNTOLD},
        "same_comments": UNTOLD,
    },
    "accounts": [
        {
            "label": "spam",
            "kind": "decision",
            "who": "mai",
            "labels": 9,
            "share": 0.5,
            "weighs": 0.2,
        }
    ],
    "coverage": [{"source": "duyet:báo", "language": "vi", "labels": {"spam": 9}}],
    "needed_in_a_language": 598,
}


@pytest.fixture
def newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    with open_newsroom(tmp_path) as newsroom:
        yield newsroom


def suspected(newsroom: Newsroom, content: str = "Hàng <b>tốt</b>, gọi a@b.example") -> str:
    """A comment whose label was found doubtful."""
    comment = newsroom.say(content)
    decision = Decision(Outcome.ACCEPT, None, "mai", newsroom.clock())
    newsroom.store.decide(None, comment, decision)
    told = {"comment_id": comment, "label": "ham", "suggests": "spam", "score": 0.97, "who": "mai"}
    who = {"head": "spam", "kind": "decision", "who": "<b>thu</b>", "weighs": 0.25}
    body = {"labels": [told], "reliance": [who]}
    LabelFindings(newsroom.store).keep(FindingKind.AUDIT, body, by="operator")
    return comment


def test_an_admin_reads_the_report_and_what_is_probably_wrong(newsroom: Newsroom) -> None:
    comment = suspected(newsroom)
    LabelFindings(newsroom.store).keep(FindingKind.REPORT, REPORT, by="operator")
    with newsroom.moderator("lan", Role.ADMIN) as client:
        page = client.get("/labels").text

    for said in (
        "1234",
        "0.75",
        "50.0\N{NO-BREAK SPACE}%",
        "598",
        "97\N{NO-BREAK SPACE}%",
        f"/log?comment={comment}",
    ):
        assert said in page
    assert "/queue?order=teaches" in page
    contradicted = page.replace("\u2068", "").replace("\u2069", "").replace("\u00a0", " ")
    assert "&lt;b&gt;thu&lt;/b&gt;</bdi>: everybody else contradicts" in contradicted
    assert "weigh 25 % of what they would" in contradicted
    assert "&lt;b&gt;" in page
    assert "a@b.example" not in page


def test_before_anybody_looked_the_page_says_how_to(newsroom: Newsroom) -> None:
    with newsroom.moderator("lan", Role.ADMIN) as client:
        page = client.get("/labels").text

    assert "duyet labels report" in page
    assert "duyet labels audit" in page


def test_what_was_decided_again_is_doubtful_no_more(newsroom: Newsroom) -> None:
    comment = suspected(newsroom)
    newsroom.store.undo(None, comment, moderator="mai")
    again = Decision(Outcome.REJECT, RejectReason.SPAM, "mai", newsroom.clock())
    newsroom.store.decide(None, comment, again)
    with newsroom.moderator("lan", Role.ADMIN) as client:
        page = client.get("/labels").text

    assert f"/log?comment={comment}" not in page


def test_an_admin_of_another_site_sees_nothing_of_this_one(newsroom: Newsroom) -> None:
    comment = suspected(newsroom)
    LabelFindings(newsroom.store).keep(FindingKind.REPORT, REPORT, by="operator")
    other, _ = newsroom.store.add_site("khác", Policy())
    newsroom.store.add_moderator("tám", Role.ADMIN, site_id=other.id)
    with newsroom.moderator("tám") as client:
        page = client.get("/labels").text

    assert comment not in page
    assert "1234" not in page
    assert "<bdi>mai</bdi>" not in page


def test_moderators_are_not_shown_who_labels_how(newsroom: Newsroom) -> None:
    with newsroom.moderator() as client:
        assert client.get("/labels").status_code == 403
