"""The pages of a site's rules, authors and raids as HTTP: who may, what is tried and undone."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from model.lists import Act, Entry, Kind
from model.outcome import Outcome
from model.policy import Policy
from model.verdict import Laid, Mark
from service.rule_trial import Draft, tried
from service.storage import Role
from service.storage.rule_records import OF_AUTHORS, OF_LISTS, RuleKind
from service.storage.site_rules import RuleBook
from service.web.rule_forms import Wanted, back_to, read, why_of
from tests.browser.newsroom import ADDRESS, SPAM, Newsroom, form_token, open_newsroom, verdict_on
from tests.storage.cases import accept

NO_SUCH_ID = "01890000-0000-7000-8000-000000000000"


@pytest.fixture
def newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    with open_newsroom(tmp_path) as newsroom:
        yield newsroom


@pytest.fixture
def book(newsroom: Newsroom) -> RuleBook:
    return RuleBook(newsroom.store)


@pytest.fixture
def admin(newsroom: Newsroom) -> Iterator[httpx.Client]:
    with newsroom.moderator("an", Role.ADMIN) as client:
        yield client


@pytest.fixture
def moderator(newsroom: Newsroom) -> Iterator[httpx.Client]:
    with newsroom.moderator("mai") as client:
        yield client


def send(client: httpx.Client, path: str, **fields: str | list[str]) -> httpx.Response:
    return client.post(path, data={"form_token": form_token(client)} | fields)


def draft(newsroom: Newsroom, entries: str, **more: str) -> dict[str, str]:
    return {"site": newsroom.site.id, "entries": entries, "why": "rao vặt"} | more


def hidden(page: httpx.Response, name: str) -> str:
    found = re.search(rf'name="{name}" value="(\w*)"', page.text)
    assert found is not None, page.text
    return found[1]


def saved(client: httpx.Client, fields: dict[str, str]) -> httpx.Response:
    """Tried and then saved, as a person does."""
    tried = send(client, "/rules/try", **fields)
    assert tried.status_code == 200
    return send(client, "/rules/save", **fields, tried=hidden(tried, "tried"), sure="yes")


def words_of(newsroom: Newsroom) -> dict[str, str]:
    rules = RuleBook(newsroom.store).listed(None, OF_LISTS)
    return {rule.key: rule.action for rule in rules}


# ------------------------------------------------------------------ lists


def test_nothing_is_saved_that_was_not_tried(newsroom: Newsroom, admin: httpx.Client) -> None:
    fields = draft(newsroom, "bán hàng")

    for token in ("", "0" * 64):
        answer = send(admin, "/rules/save", **fields, tried=token, sure="yes")
        assert (answer.status_code, words_of(newsroom)) == (409, {})
    assert "Not saved yet" in answer.text

    done = saved(admin, fields)

    assert (done.status_code, words_of(newsroom)) == (303, {"bán hàng": "queue"})
    assert "Done." in admin.get(done.headers["location"]).text


def test_what_was_tried_is_what_is_saved(newsroom: Newsroom, admin: httpx.Client) -> None:
    tried = hidden(send(admin, "/rules/try", **draft(newsroom, "bán hàng")), "tried")

    other = send(admin, "/rules/save", **draft(newsroom, "cảm ơn"), tried=tried, sure="yes")

    assert (other.status_code, words_of(newsroom)) == (409, {})


def test_of_two_admins_the_second_tries_again(newsroom: Newsroom, admin: httpx.Client) -> None:
    mine = draft(newsroom, "bán hàng")
    tried = hidden(send(admin, "/rules/try", **mine), "tried")
    with newsroom.moderator("be", Role.ADMIN) as other:
        saved(other, draft(newsroom, "vay nhanh"))

    late = send(admin, "/rules/save", **mine, tried=tried)
    again = send(admin, "/rules/save", **mine, tried=hidden(late, "tried"))

    assert (late.status_code, again.status_code) == (409, 303)
    assert set(words_of(newsroom)) == {"bán hàng", "vay nhanh"}


def test_a_trial_says_what_would_have_been_and_shows_genuine_ones_first(
    newsroom: Newsroom, admin: httpx.Client
) -> None:
    newsroom.say("Mình bán hàng cũ", name="Chợ")
    kept = newsroom.say("Bài về bán hàng hay quá, cảm ơn", name="Lan")
    newsroom.store.decide(None, kept, accept(newsroom.clock()))
    for n in range(40):
        newsroom.say(f"Một lời bàn khác số {n}")

    page = send(admin, "/rules/try", **draft(newsroom, "ban hang", act="reject"))

    text = unescape(re.sub(r"<[^>]+>", " ", page.text))
    said = " ".join(text.split())
    assert "All 42 comments of the last 30 days were looked at." in said
    assert "waits → rejected 2" in said
    assert "although a person had accepted them (of 1 accepted) 1" in said
    assert said.index("Lan") < said.index("Chợ")
    assert words_of(newsroom) == {}


def test_a_list_that_matches_everything_is_shouted_about_and_asks_twice(
    newsroom: Newsroom, admin: httpx.Client
) -> None:
    for n in range(12):
        newsroom.say(f"bài viết hay số {n}")
    fields = draft(newsroom, "bai\nhay", act="reject")

    page = send(admin, "/rules/try", **fields)
    unsure = send(admin, "/rules/save", **fields, tried=hidden(page, "tried"))
    sure = send(admin, "/rules/save", **fields, tried=hidden(unsure, "tried"), sure="yes")

    shout = re.search(r'class="shout" role="alert"><strong>(.*?)</strong>', page.text)
    assert shout is not None
    assert "12 of 12" in shout[1]
    assert [unsure.status_code, sure.status_code] == [409, 303]


def test_ending_entries_is_tried_too_and_undone_whole(
    newsroom: Newsroom, admin: httpx.Client, book: RuleBook
) -> None:
    saved(admin, draft(newsroom, "bán hàng\nvay nhanh"))
    ids = [rule.id for rule in book.listed(None, OF_LISTS)]
    fields: dict[str, Any] = {"site": newsroom.site.id, "end": ids, "why": "đã hết"}
    page = send(admin, "/rules/try", **fields)

    done = send(admin, "/rules/save", **fields, tried=hidden(page, "tried"))

    assert (done.status_code, words_of(newsroom)) == (303, {})
    undone = send(admin, "/rules/undo", site=newsroom.site.id, version="2")
    assert undone.status_code == 303
    assert set(words_of(newsroom)) == {"bán hàng", "vay nhanh"}
    twice = send(admin, "/rules/undo", site=newsroom.site.id, version="2")
    assert twice.status_code == 409


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"entries": "a*b"}, "only at one end"),
        ({"entries": "tốt\n\0\nab*"}, "at least 3 letters"),
        ({"entries": "x" * 200_000}, "longer than 100"),
        ({"entries": "một\n" * 30_000}, "More than 10,000"),
        ({"entries": "com", "kind": "domain", "act": "trust"}, "cannot be trusted"),
        ({"entries": "từ", "act": "trust"}, "Only domains"),
        ({"entries": " \n"}, "at least one entry"),
        ({"entries": "từ", "why": " "}, "Say why"),
    ],
)
def test_what_cannot_be_an_entry_is_said_by_line(
    newsroom: Newsroom, admin: httpx.Client, fields: dict[str, str], says: str
) -> None:
    page = send(admin, "/rules/try", **draft(newsroom, **({"entries": ""} | fields)))

    assert page.status_code == 422
    assert says in unescape(page.text)
    assert words_of(newsroom) == {}


def test_moderators_read_lists_and_do_not_change_them(
    newsroom: Newsroom, admin: httpx.Client, moderator: httpx.Client
) -> None:
    saved(admin, draft(newsroom, "bán hàng"))
    fields = draft(newsroom, "vay nhanh")

    page = moderator.get("/rules")
    refused = [send(moderator, path, **fields) for path in ("/rules/try", "/rules/save")]
    undone = send(moderator, "/rules/undo", site=newsroom.site.id, version="1")

    assert "bán hàng" in page.text
    assert 'action="/rules/try"' not in page.text
    assert [r.status_code for r in refused] == [403, 403]
    assert undone.status_code == 409
    assert set(words_of(newsroom)) == {"bán hàng"}


def test_another_site_s_rules_are_not_there(newsroom: Newsroom) -> None:
    other, _ = newsroom.store.add_site("khac", Policy())
    only_here = newsroom.store.add_moderator("cuc", Role.VIEWER)
    assert only_here is not None
    with newsroom.moderator("an", Role.ADMIN) as client:
        saved(client, draft(newsroom, "bán hàng"))
        answers = [
            send(client, "/rules/try", **draft(newsroom, "x y z", site=site))
            for site in ("no-such-site", "")
        ]
    with newsroom.moderator("cuc", Role.VIEWER) as viewer:
        pages = [viewer.get(path) for path in ("/rules", "/authors", f"/rules?site={other.id}")]

    assert [a.status_code for a in answers] == [404, 404]
    assert [p.status_code for p in pages] == [403, 403, 403]


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "\u202eabc", "e" + "\u0301" * 60])
def test_hostile_words_are_shown_as_text(
    newsroom: Newsroom, admin: httpx.Client, hostile: str
) -> None:
    fields = draft(newsroom, hostile, why=hostile + " vì")
    saved(admin, fields)

    page = admin.get("/rules").text

    assert "<script>alert" not in page
    assert "\u202e" not in page


# ------------------------------------------------------------------ authors


def test_an_author_is_banned_from_a_card_and_it_is_undone(
    newsroom: Newsroom, moderator: httpx.Client, book: RuleBook
) -> None:
    comment_id = newsroom.put()
    back = f"/queue#c-{comment_id}"
    assert f'value="{comment_id}"' in moderator.get("/queue").text

    done = send(moderator, "/authors/act", comment=comment_id, standing="ban", why="rác", back=back)

    (rule,) = book.listed(None, OF_AUTHORS)
    assert (rule.action, rule.expires_at) == ("ban", newsroom.clock() + timedelta(days=90))
    assert done.headers["location"] == f"/queue?changed={newsroom.site.id}.1#c-{comment_id}"
    page = moderator.get(done.headers["location"])
    assert "t•••@thu.example\u2069: it counts from the next comment on." in page.text
    assert ADDRESS not in page.text
    assert 'action="/rules/undo"' in page.text
    undone = send(moderator, "/rules/undo", site=newsroom.site.id, version="1", back="/queue")
    assert undone.headers["location"] == f"/queue?changed={newsroom.site.id}.2"
    assert "Undone: everything is as it was" in moderator.get(undone.headers["location"]).text
    assert book.listed(None, OF_AUTHORS) == []


@pytest.mark.parametrize(
    ("act", "kind", "days"),
    [
        (("trust", "usual"), RuleKind.AUTHOR, 365),
        (("queue", "usual"), RuleKind.AUTHOR, 30),
        (("ban_network", "usual"), RuleKind.NETWORK, 7),
        (("ban", "1"), RuleKind.AUTHOR, 1),
        (("ban", "ever"), RuleKind.AUTHOR, None),
        (("ban", "forever and a day"), RuleKind.AUTHOR, 90),
    ],
)
def test_each_act_has_a_sensible_end(
    newsroom: Newsroom,
    moderator: httpx.Client,
    book: RuleBook,
    act: tuple[str, str],
    kind: RuleKind,
    days: int | None,
) -> None:
    standing, lasts = act
    send(moderator, "/authors/act", comment=newsroom.put(), standing=standing, lasts=lasts)

    (rule,) = book.listed(None, OF_AUTHORS)
    until = None if days is None else newsroom.clock() + timedelta(days=days)
    assert (rule.kind, rule.expires_at) == (kind, until)


def test_what_cannot_be_done_to_an_author_says_so(
    newsroom: Newsroom, moderator: httpx.Client, book: RuleBook
) -> None:
    nameless = newsroom.put(replace(SPAM, author=replace(SPAM.author, email="", ip="")))
    asked = [
        {"comment": nameless, "standing": "ban"},
        {"comment": nameless, "standing": "ban_network"},
        {"comment": "nothing", "standing": "ban"},
        {"comment": nameless, "standing": "promote"},
    ]

    answers = [send(moderator, "/authors/act", **fields).status_code for fields in asked]

    assert answers == [409, 409, 404, 400]
    assert book.changes(None) == []


def test_a_rule_for_an_author_is_ended_early(
    newsroom: Newsroom, moderator: httpx.Client, book: RuleBook
) -> None:
    send(moderator, "/authors/act", comment=newsroom.put(), standing="queue")
    (rule,) = book.listed(None, OF_AUTHORS)

    ended = [send(moderator, "/authors/end", rule=rule.id).status_code for _ in range(2)]

    assert ended == [303, 409]
    assert book.listed(None, OF_AUTHORS) == []


@pytest.mark.parametrize(
    ("path", "goes"),
    [
        ("/queue?order=riskiest&after=ab_c#c-1", "/queue?order=riskiest&after=ab_c#c-1"),
        ("//evil.example/queue", "/x"),
        ("https://evil.example", "/x"),
        ("/queue\r\nSet-Cookie: a", "/x"),
        ("/queueevil", "/x"),
        ("/queue/../people", "/x"),
    ],
)
def test_a_form_leads_back_to_pages_of_the_desk_alone(path: str, goes: str) -> None:
    assert back_to(path, "/x") == goes


# ------------------------------------------------------------------ raids


def test_a_raid_is_on_in_two_clicks_shown_and_stopped(
    newsroom: Newsroom, moderator: httpx.Client, book: RuleBook
) -> None:
    comment_id = newsroom.put()

    send(moderator, "/raids/start", comment=comment_id, back="/queue")

    (raid,) = book.listed(None, {RuleKind.RAID})
    assert raid.expires_at == newsroom.clock() + timedelta(hours=2)
    page = moderator.get("/queue").text
    assert "Raid mode is on" in page
    assert "Lãi suất giảm" in page
    assert send(moderator, "/raids/stop", rule=raid.id, back="/queue").status_code == 303
    assert "Raid mode is on" not in moderator.get("/queue").text
    send(moderator, "/rules/undo", site=newsroom.site.id, version="2")  # the stop
    assert "Raid mode is on" in moderator.get("/queue").text
    newsroom.clock.advance(hours=2)
    assert "Raid mode is on" not in moderator.get("/queue").text


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"site": "no-such-site"}, 404),
        ({"comment": "no-such-comment"}, 404),
        ({"hours": "999"}, 400),
        ({"hours": "-1"}, 400),
        ({}, 400),
    ],
)
def test_a_raid_that_cannot_be_says_so(
    newsroom: Newsroom, moderator: httpx.Client, fields: dict[str, str], status: int
) -> None:
    assert send(moderator, "/raids/start", **fields).status_code == status


def test_a_comment_without_an_article_starts_no_raid_on_everything(
    newsroom: Newsroom, moderator: httpx.Client, book: RuleBook
) -> None:
    comment_id = newsroom.put(replace(SPAM, permalink=""))

    assert send(moderator, "/raids/start", comment=comment_id).status_code == 409
    assert book.listed(None, {RuleKind.RAID}) == []


def test_a_card_marks_where_an_entry_stands(newsroom: Newsroom, moderator: httpx.Client) -> None:
    start = SPAM.content.find("giải ngân")
    laid = Laid(3, False, (Mark("content", start, start + len("giải ngân")),))
    newsroom.put(SPAM, replace(verdict_on(SPAM), laid=laid, outcome=Outcome.QUEUE))

    assert '<mark class="spam">giải ngân</mark>' in moderator.get("/queue").text


def test_a_form_reads_each_entry_once(newsroom: Newsroom) -> None:
    asked = read(Wanted(entries="một\n\nMột \nmột\nhai", lasts="7"), newsroom.clock())

    assert [entry.text for entry in asked.entries] == ["một", "Một", "hai"]
    assert asked.expires_at == newsroom.clock() + timedelta(days=7)


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/rules/undo", {"site": "", "version": "1"}, 409),
        ("/rules/undo", {"site": "no-such-site", "version": "1"}, 409),
        ("/rules/undo", {"site": NO_SUCH_ID, "version": "1"}, 409),
        ("/rules/undo", {"site": NO_SUCH_ID, "version": "9" * 40}, 400),
        ("/rules/undo", {"site": NO_SUCH_ID, "version": "-1"}, 400),
        ("/authors/act", {"comment": "\0", "standing": "ban"}, 404),
        ("/authors/end", {"rule": "\0' OR 1=1"}, 409),
        ("/raids/start", {"comment": "\0", "site": NO_SUCH_ID}, 404),
        ("/raids/start", {"site": "\0"}, 404),
        ("/raids/start", {"site": NO_SUCH_ID, "hours": "9" * 40}, 400),
        ("/raids/stop", {"rule": ""}, 409),
    ],
)
def test_whatever_is_sent_is_answered(
    admin: httpx.Client, path: str, fields: dict[str, str], status: int
) -> None:
    assert send(admin, path, **fields).status_code == status


def test_a_reason_is_kept_as_one_line_of_text() -> None:
    assert why_of(" vì\0\n\u202erác  " + "x" * 900)[:8] == "vì rác x"
    assert len(why_of("x" * 5000)) == 300


def test_a_trial_that_runs_out_of_time_says_how_far_it_came(newsroom: Newsroom) -> None:
    for n in range(3):
        newsroom.say(f"bán hàng {n}")
    ticks = iter(range(100))

    trial = tried(
        RuleBook(newsroom.store),
        newsroom.site.id,
        newsroom.site.policy,
        Draft([], [Entry(Kind.WORD, "ban", Act.REJECT)], []),
        now=newsroom.clock(),
        seconds=0.5,
        clock=lambda: float(next(ticks)),
        page=2,
    )

    assert (trial.of, trial.is_whole) == (3, False)
    assert trial.looked_at == trial.touched == trial.total < 3
    assert trial.touched_in_all == trial.changed_in_all == (trial.total, 3)
