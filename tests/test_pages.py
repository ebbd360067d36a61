"""The moderators' pages as HTTP, and what they make of texts. Browsers: tests/browser."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from string import Formatter

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import example, given
from hypothesis import strategies as st

from model.addresses import has_address
from model.outcome import Head, Outcome
from model.policy import Policy
from model.submission import Submission
from model.verdict import Reason, Span
from service.keyring import Keyring
from service.storage import Role, Store
from service.web import pages, queue
from service.web.card import MOST_HIDDEN, Piece, at_once_and_rest, pieces_of, plain_name
from service.web.texts import TEXTS
from tests.browser.newsroom import ADDRESS, SPAM, Newsroom, form_token, open_newsroom, verdict_on
from tests.migrated import lay_database
from tests.serving import served
from tests.storage.cases import Clock

NO_SUCH_COMMENT = "01890000-0000-7000-8000-000000000000"


@pytest.fixture
def newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    with open_newsroom(tmp_path) as newsroom:
        yield newsroom


def token_of(link: str) -> str:
    return link.partition("token=")[2]


def heading(answer: httpx.Response) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", answer.text)
    assert found is not None
    return found[1]


def decide(
    client: httpx.Client, comment_id: str, what: str = "accept", **fields: str
) -> httpx.Response:
    sent = {"form_token": form_token(client)} | fields
    return client.post(f"/queue/{comment_id}/{what}", data=sent)


# ------------------------------------------------------------------ what a card says


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("en", "This site&#39;s decisions:"), ("vi", "Các quyết định của trang này:")],
)
def test_a_card_says_in_one_line_what_the_site_s_decisions_added(
    newsroom: Newsroom, language: str, sentence: str
) -> None:
    verdict = verdict_on(SPAM)
    learnt = Reason("site.learnt", evidence="+1.3")
    newsroom.put(SPAM, replace(verdict, reasons=(*verdict.reasons, learnt)))
    with newsroom.moderator() as client:
        page = client.get(f"/queue?lang={language}").text

    lines = [line for line in page.splitlines() if sentence in line]
    assert len(lines) == 1
    assert "+1.3" in lines[0]


# ------------------------------------------------------------------ signing in


def test_reading_a_link_any_number_of_times_does_not_use_it_up(newsroom: Newsroom) -> None:
    link = newsroom.link()
    with newsroom.visitor() as client:
        answers = [client.get(link) for _ in range(3)]

        signed_in = client.post("/sign-in", data={"token": token_of(link)})

        assert [(a.status_code, a.headers.get("set-cookie")) for a in answers] == [(200, None)] * 3
        assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/queue")
        assert client.get("/queue").status_code == 200


def test_the_sessions_cookie_is_out_of_reach(newsroom: Newsroom) -> None:
    with newsroom.visitor() as client:
        answer = client.post("/sign-in", data={"token": token_of(newsroom.link())})

    name, _, rest = answer.headers["set-cookie"].partition("=")
    assert name == "duyet"
    assert {"HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"} <= set(rest.split("; "))


def test_by_https_the_cookie_is_bound_to_host_and_transport(tmp_path: Path) -> None:
    clock = Clock()
    keyring = Keyring.open(tmp_path / "secrets")
    store = Store.open(lay_database(tmp_path), keyring, now=clock)
    store.migrate()
    moderator = store.add_moderator("mai", Role.MODERATOR)
    token = store.new_sign_in_link(moderator.id, timedelta(minutes=10))
    app = FastAPI()
    pages.install(app, store, secure=True, now=clock)

    with served(app) as port:
        url = f"http://127.0.0.1:{port}/sign-in"
        headers = {"sec-fetch-site": "same-origin"}
        answer = httpx.post(url, data={"token": token}, headers=headers, trust_env=False)
    store.close()

    assert answer.headers["set-cookie"].startswith("__Host-duyet=")
    assert "; Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("token", ["", "x", "é" * 48, "A" * 100_000, "\0", "' OR 1=1 --"])
def test_a_link_that_never_was_says_what_to_do(newsroom: Newsroom, token: str) -> None:
    with newsroom.visitor() as client:
        answer = client.post("/sign-in", data={"token": token})

    assert (answer.status_code, heading(answer)) == (403, "This link does not work any more")
    assert "duyet sign-in" in answer.text
    assert "set-cookie" not in answer.headers


def test_a_used_link_and_an_expired_one_do_not_work(newsroom: Newsroom) -> None:
    used, late = token_of(newsroom.link()), token_of(newsroom.link())
    with newsroom.visitor() as client:
        client.post("/sign-in", data={"token": used})
        newsroom.clock.advance(minutes=11)

        answers = [client.post("/sign-in", data={"token": token}) for token in (used, late)]

    assert [answer.status_code for answer in answers] == [403, 403]


def test_bad_links_in_a_row_have_to_wait(newsroom: Newsroom) -> None:
    good = token_of(newsroom.link())
    with newsroom.visitor() as client:
        bad = [client.post("/sign-in", data={"token": "x"}).status_code for _ in range(10)]
        throttled = client.post("/sign-in", data={"token": good})
        newsroom.clock.advance(minutes=5)
        later = client.post("/sign-in", data={"token": good})

    assert bad == [403] * 10
    assert (throttled.status_code, throttled.headers["retry-after"]) == (429, "300")
    assert later.status_code == 303


def test_signing_in_again_ends_the_session_before(newsroom: Newsroom) -> None:
    with newsroom.moderator() as client:
        before = client.cookies["duyet"]
        client.post("/sign-in", data={"token": token_of(newsroom.link())})

        assert newsroom.store.session(before) is None
        assert newsroom.store.session(client.cookies["duyet"]) is not None


def test_a_session_ends_after_twelve_hours(newsroom: Newsroom) -> None:
    with newsroom.moderator() as client:
        newsroom.clock.advance(hours=12)

        assert client.get("/queue").status_code == 401


@pytest.mark.parametrize("cookie", ["", "x", "x" * 10_000, '"', "\\", "é"])
def test_without_a_session_nothing_is_told(newsroom: Newsroom, cookie: str) -> None:
    waiting = newsroom.put()
    header = f"duyet={cookie}".encode("latin-1")
    with newsroom.visitor() as client:
        answers = [
            client.get("/queue", headers=[(b"cookie", header)]),
            client.post(f"/queue/{waiting}/accept", headers=[(b"cookie", header)]),
            client.post(f"/queue/{waiting}/reveal", headers=[(b"cookie", header)]),
        ]

    assert [answer.status_code for answer in answers] == [401] * 3
    assert {heading(answer) for answer in answers} == {"You are not signed in"}
    assert not any("Vay" in answer.text or "waiting" in answer.text for answer in answers)
    assert newsroom.comment(waiting).decision is None


# ------------------------------------------------------------------ forms of our own


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/queue/{}/accept", {"sec-fetch-site": "cross-site"}),
        ("/queue/{}/accept", {"sec-fetch-site": "same-site"}),
        ("/queue/{}/accept", {"sec-fetch-site": "none"}),
        ("/queue/{}/accept", {"origin": "https://evil.example"}),
        ("/queue/{}/accept", {"origin": "null"}),
        ("/queue/{}/accept", {"origin": ""}),
        ("/queue/{}/undo", {"origin": "null"}),
        ("/queue/{}/reveal", {"origin": "null"}),
        ("/sign-in", {"origin": "null"}),
        ("/sign-out", {"origin": "null"}),
    ],
)
def test_a_form_from_elsewhere_changes_nothing(
    newsroom: Newsroom, path: str, headers: dict[str, str]
) -> None:
    waiting = newsroom.put()
    with newsroom.moderator() as client:
        fields = {"form_token": form_token(client), "token": token_of(newsroom.link("an"))}

        answer = client.post(path.format(waiting), data=fields, headers=headers)

        assert (answer.status_code, heading(answer)) == (403, "This did not come from our page")
        assert newsroom.comment(waiting).decision is None
        assert client.get("/queue").status_code == 200


@pytest.mark.parametrize("form", ["", "x", "0" * 64, "é" * 64, "\ud800"])
def test_a_form_without_this_sessions_token_changes_nothing(newsroom: Newsroom, form: str) -> None:
    waiting = newsroom.put()
    sent = b"form_token=" + form.encode("utf-8", "surrogatepass")
    kind = {"content-type": "application/x-www-form-urlencoded"}
    with newsroom.moderator() as client:
        answer = client.post(f"/queue/{waiting}/accept", content=sent, headers=kind)

    assert answer.status_code == 403
    assert newsroom.comment(waiting).decision is None


def test_a_form_of_another_session_changes_nothing(newsroom: Newsroom) -> None:
    waiting = newsroom.put()
    with newsroom.moderator("an") as an, newsroom.moderator("mai") as mai:
        answer = mai.post(f"/queue/{waiting}/accept", data={"form_token": form_token(an)})

    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xff\xfe=%zz&&&=", "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"--x\r\nnonsense", "multipart/form-data; boundary=x"),
        (b"x", "multipart/form-data"),
        (
            b'--x\r\nContent-Disposition: form-data; name="form_token"; filename="f"\r\n\r\nx'
            b"\r\n--x--\r\n",
            "multipart/form-data; boundary=x",
        ),
    ],
)
def test_a_body_that_is_no_form_of_ours_is_a_page(
    newsroom: Newsroom, body: bytes, kind: str
) -> None:
    waiting = newsroom.put()
    with newsroom.moderator() as client:
        headers = {"content-type": kind}
        answer = client.post(f"/queue/{waiting}/accept", content=body, headers=headers)

    assert answer.status_code in {400, 403}
    assert answer.headers["content-type"].startswith("text/html")
    assert newsroom.comment(waiting).decision is None


def test_no_address_of_a_page_writes_when_read(newsroom: Newsroom) -> None:
    waiting = newsroom.put()
    with newsroom.moderator() as client:
        statuses = [
            client.get(path).status_code
            for path in (f"/queue/{waiting}/accept", f"/queue/{waiting}/reveal", "/sign-out")
        ]

    assert statuses == [405] * 3


# ------------------------------------------------------------------ every page


def test_every_page_has_the_headers_that_keep_it_in_bounds(newsroom: Newsroom) -> None:
    newsroom.put()
    with newsroom.moderator() as client, newsroom.visitor() as stranger:
        answers = [
            client.get("/queue"),
            client.post("/sign-in"),
            client.post("/queue/x/accept"),
            stranger.get("/queue"),
            stranger.get("/sign-in"),
            stranger.get("/sign-in?token=x"),
        ]

    policies = {answer.headers["content-security-policy"] for answer in answers}
    assert policies == {
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    }
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
    assert {answer.headers["referrer-policy"] for answer in answers} == {"strict-origin"}
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}
    assert {answer.headers["cross-origin-opener-policy"] for answer in answers} == {"same-origin"}
    assert not any(re.search(r"<script(?! type)|\sstyle=|\son\w+=", a.text) for a in answers)


def test_styles_and_script_are_kept_and_only_they_are_served(newsroom: Newsroom) -> None:
    with newsroom.moderator() as client:
        linked = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', client.get("/queue").text))
        answers = [client.get(link) for link in linked]
        others = [
            client.get(f"/static/{name}").status_code
            for name in ("x", "x/..%2Fpages.py", "x/x", "")
        ]

    assert len(answers) >= 3
    assert {answer.status_code for answer in answers} == {200}
    assert all("immutable" in answer.headers["cache-control"] for answer in answers)
    assert set(others) == {404}


def test_without_a_database_a_page_says_so(newsroom: Newsroom, tmp_path: Path) -> None:
    with newsroom.moderator() as client:
        for file in tmp_path.glob("duyet.db*"):
            file.unlink()
        newsroom.store.close()

        answer = client.get("/queue")

    assert (answer.status_code, heading(answer)) == (503, "The database does not answer")
    assert answer.headers["retry-after"] == "5"


# ------------------------------------------------------------------ the queue


def shown(page: str) -> list[str]:
    return re.findall(r'<article class="card" id="c-([0-9a-f-]+)"', page)


def test_pages_go_on_where_the_last_one_ended(newsroom: Newsroom) -> None:
    waiting = [newsroom.say(f"Bình luận số {n}") for n in range(queue.AT_FIRST + 3)]
    with newsroom.moderator() as client:
        first = client.get("/queue").text
        link = re.search(r'rel="next" href="([^"]+)"', first)
        assert link is not None
        second = client.get(link[1]).text

    assert shown(first) + shown(second) == waiting
    assert 'rel="next"' not in second
    assert f"{len(waiting)} waiting" in second


def test_the_riskiest_come_first_by_a_link(newsroom: Newsroom) -> None:
    ids = [newsroom.put(SPAM, verdict_on(SPAM, spam=spam)) for spam in (0.5, 0.9, 0.7)]
    with newsroom.moderator() as client:
        page = client.get("/queue?order=riskiest").text

    assert shown(page) == [ids[1], ids[2], ids[0]]
    assert "90.0\N{NO-BREAK SPACE}%" in page


@pytest.mark.parametrize(
    "query", ["after=x", "after=%00", "order=riskiest&after=W10", "order=%ff&after=%f0"]
)
def test_a_place_that_is_none_leads_to_the_start(newsroom: Newsroom, query: str) -> None:
    with newsroom.moderator() as client:
        answer = client.get(f"/queue?{query}")

    assert answer.status_code == 303
    assert "after" not in answer.headers["location"]


def test_a_decision_returns_to_the_place_it_was_made_at(newsroom: Newsroom) -> None:
    first, second = newsroom.put(), newsroom.put()
    with newsroom.moderator() as client:
        answer = decide(client, first, order="riskiest", next=second)

    assert answer.headers["location"] == f"/queue?order=riskiest&done={first}#c-{second}"


def test_the_place_to_return_to_cannot_lead_elsewhere(newsroom: Newsroom) -> None:
    waiting = newsroom.put()
    with newsroom.moderator() as client:
        sent = {"order": "//evil.example", "after": "\r\nx: y", "next": "//evil.example"}
        answer = decide(client, waiting, **sent)

    assert answer.headers["location"] == f"/queue?done={waiting}"


def test_a_button_pressed_twice_is_one_decision(newsroom: Newsroom) -> None:
    waiting = newsroom.put()
    with newsroom.moderator() as client:
        answers = [decide(client, waiting, "reject", reason="spam") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 303]
    assert [e.kind for e in newsroom.store.events(None)].count("decided") == 1


def test_what_is_not_there_is_a_page_for_people_and_a_problem_for_programs(
    newsroom: Newsroom,
) -> None:
    with newsroom.visitor() as visitor:
        page = visitor.get("/nothing", headers={"accept": "text/html"})
        problem = visitor.get("/nothing")

    assert (page.status_code, problem.status_code) == (404, 404)
    assert "There is nothing here" in page.text
    assert problem.json()["code"] == "not_found"


def test_the_services_own_address_leads_to_the_queue(newsroom: Newsroom) -> None:
    with newsroom.visitor() as visitor:
        front = visitor.get("/")

    assert (front.status_code, front.headers["location"]) == (303, "/queue")


def test_a_conflict_tells_who_decided_what_and_when(newsroom: Newsroom) -> None:
    waiting = newsroom.put()
    with newsroom.moderator("an") as an, newsroom.moderator("mai") as mai:
        decide(an, waiting, "reject", reason="off_topic")

        answers = [decide(mai, waiting), decide(mai, waiting, "undo")]

    assert [answer.status_code for answer in answers] == [409, 409]
    assert all("\u2068an\u2069: \u2068rejected as off topic\u2069" in a.text for a in answers)
    assert all("just now" in answer.text for answer in answers)
    assert newsroom.comment(waiting).state is Outcome.REJECT


def test_undo_brings_back_and_the_second_time_says_so(newsroom: Newsroom) -> None:
    waiting = newsroom.put()
    with newsroom.moderator() as client:
        decide(client, waiting)
        undone = decide(client, waiting, "undo")
        again = decide(client, waiting, "undo")

    assert undone.headers["location"] == f"/queue?undone={waiting}#c-{waiting}"
    assert (again.status_code, heading(again)) == (409, "There is nothing to undo")
    assert newsroom.comment(waiting).state is Outcome.QUEUE


def test_what_was_done_is_told_only_if_it_is_so(newsroom: Newsroom) -> None:
    by_an, by_mai, waiting = newsroom.put(), newsroom.put(), newsroom.put()
    with newsroom.moderator("an") as an, newsroom.moderator("mai") as mai:
        decide(an, by_an)
        decide(mai, by_mai)

        told = [
            not re.search(r'id="flash"[^>]* hidden', mai.get(f"/queue?done={one}").text)
            for one in (by_an, by_mai, waiting, NO_SUCH_COMMENT, "%00", "x" * 2000)
        ]

    assert told == [False, True, False, False, False, False]


@pytest.mark.parametrize(
    ("what", "comment_id"),
    [
        ("accept", NO_SUCH_COMMENT),
        ("accept", "%00"),
        ("accept", "%ED%A0%80"),
        ("undo", NO_SUCH_COMMENT),
        ("undo", "'"),
        ("reveal", NO_SUCH_COMMENT),
        ("reveal", "x"),
    ],
)
def test_an_unknown_comment_is_a_page(newsroom: Newsroom, what: str, comment_id: str) -> None:
    with newsroom.moderator(role=Role.ADMIN) as client:
        answer = decide(client, comment_id, what, why="because")

    assert (answer.status_code, heading(answer)) == (404, "No such comment")


@pytest.mark.parametrize("reason", ["", "ham", "SPAM", "spam\0"])
def test_a_rejection_needs_a_reason_there_is(newsroom: Newsroom, reason: str) -> None:
    waiting = newsroom.put()
    with newsroom.moderator() as client:
        assert decide(client, waiting, "reject", reason=reason).status_code == 400

    assert newsroom.comment(waiting).decision is None


# ------------------------------------------------------------------ addresses


def test_the_queue_shows_no_address_in_any_field(newsroom: Newsroom) -> None:
    address = "le.bi.mat@rieng.example"
    for name, content in ((address, "x"), ("An", f"<b>{address}</b> le.bi.mat%40rieng.example")):
        newsroom.say(content, email=address, name=name, url=f"https://a.example/?m={address}")
    with newsroom.moderator(role=Role.ADMIN) as client:
        page = client.get("/queue").text

    assert len(shown(page)) == 2
    assert "le.bi.mat" not in page
    assert "203.0.113.77" not in page


def test_a_revealed_address_is_on_record_with_its_reason(newsroom: Newsroom) -> None:
    waiting = newsroom.put()
    with newsroom.moderator("an", Role.ADMIN) as client:
        answer = decide(client, waiting, "reveal", why=f" ask {ADDRESS} \n about it")

    event = newsroom.store.events(None)[-1]
    assert ADDRESS in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert (event.kind, event.actor, event.body) == (
        "address_revealed",
        "an",
        '{"why":"ask t•••@thu.example about it"}',
    )


@pytest.mark.parametrize(
    ("role", "why", "status"),
    [(Role.MODERATOR, "because", 403), (Role.ADMIN, "", 422), (Role.ADMIN, " \n\t", 422)],
)
def test_no_address_without_leave_or_reason(
    newsroom: Newsroom, role: Role, why: str, status: int
) -> None:
    waiting = newsroom.put()
    with newsroom.moderator(role=role) as client:
        answer = decide(client, waiting, "reveal", why=why)
        page = client.get("/queue").text

    assert answer.status_code == status
    assert ADDRESS not in answer.text
    assert ("/reveal" in page) is (role is Role.ADMIN)
    assert "address_revealed" not in {event.kind for event in newsroom.store.events(None)}


def test_a_comment_without_an_address_says_so(newsroom: Newsroom) -> None:
    waiting = newsroom.put(Submission("Xin chào"))
    with newsroom.moderator(role=Role.ADMIN) as client:
        answer = decide(client, waiting, "reveal", why="because")

    assert (answer.status_code, heading(answer)) == (409, "There is no address to show")


# ------------------------------------------------------------------ texts in pieces


def texts_of(pieces: tuple[Piece, ...], kind: str) -> list[str]:
    return [piece.text for piece in pieces if piece.kind == kind]


def test_spans_keep_their_place_when_addresses_before_them_are_masked() -> None:
    text = "gửi nam.le@thu.example để mua thuốc nhé"
    start = text.index("mua thuốc")

    pieces = pieces_of(text, [Span("content", start, start + 9, Head.SPAM, 1.0)])

    assert "".join(piece.text for piece in pieces) == "gửi n•••@thu.example để mua thuốc nhé"
    assert [piece.text for piece in pieces if piece.head] == ["mua thuốc"]


def test_where_spans_meet_the_weightier_one_is_shown() -> None:
    spans = [Span("content", 0, 6, Head.SPAM, 1.0), Span("content", 4, 9, Head.TOXICITY, 2.0)]

    pieces = pieces_of("abcdefghijk", [*spans, Span("content", 9, 11, Head.SPAM, -3.0)])

    assert [(piece.text, piece.head) for piece in pieces] == [
        ("abcd", Head.SPAM),
        ("ef", Head.TOXICITY),
        ("ghi", Head.TOXICITY),
        ("jk", None),
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a\u202egpj", ["U+202E"]),
        ("v\u200b\u200b\u200bn", ["U+200B +2"]),
        ("a" + "\u0301" * 60, ["U+0301 +54"]),
        ("v\u200dn", ["U+200D"]),
        ("👩\u200d👧 và م\u200cن", []),
        ("Thưa ông, e\u0302\u0301 là một chữ", []),
        ("hai\r\ndòng\tnữa", []),
    ],
)
def test_what_one_would_not_see_is_named(text: str, named: list[str]) -> None:
    assert texts_of(pieces_of(text), "hidden") == named


@given(text=st.text(), spans=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40))))
@example(text="a@b.cd\u200b@e.fg " * 3, spans=[(1, 30)])
@example(text="\u200ba@b.cd\u202e", spans=[(0, 3)])
@example(text="nam.le\x07@thu\u200b.example", spans=[])
def test_pieces_lose_nothing_but_what_is_hidden_or_masked(
    text: str, spans: list[tuple[int, int]]
) -> None:
    marked = [Span("content", min(s), max(s), Head.SPAM, 1.0) for s in spans]

    pieces = pieces_of(text, marked)
    first, rest = at_once_and_rest(pieces)

    plain = iter(text)
    assert all(letter in plain for piece in texts_of(pieces, "plain") for letter in piece)
    assert not has_address("".join(piece.text for piece in pieces if piece.kind != "hidden"))
    assert "".join(p.text for p in first + rest) == "".join(p.text for p in pieces)


@pytest.mark.parametrize(
    "text",
    ["a\u200b" * 32_000, "a@b.example " * 5_000, "@" * 65_000, "\n" * 65_000, "\u0301" * 65_000],
    ids=["hidden", "addresses", "at signs", "lines", "marks"],
)
def test_a_long_text_in_pieces_is_quick_and_bounded(text: str) -> None:
    began = time.process_time()

    first, _ = at_once_and_rest(pieces_of(text, [Span("content", 0, 9, Head.SPAM, 1.0)]))

    assert time.process_time() - began < 2
    assert len(texts_of(first, "hidden")) <= MOST_HIDDEN
    assert sum(len(piece.text) for piece in first) < 3000


def test_a_name_in_a_sentence_is_one_short_harmless_line() -> None:
    assert plain_name("An\u202e\n\n  an.le@thu.example") == "An a•••@thu.example"
    assert plain_name("n" * 400) == "n" * 59 + "…"


# ------------------------------------------------------------------ languages and looks


def test_every_language_has_every_sentence_with_the_same_placeholders() -> None:
    def placeholders(sentence: str) -> set[str]:
        names = (name or "" for _, name, _, _ in Formatter().parse(sentence))
        return {name.partition(".")[0] for name in names} - {""}

    english = {key: placeholders(text) for key, text in TEXTS["en"].sentences.items()}

    assert set(TEXTS) == {"en", "vi"}
    for texts in TEXTS.values():
        assert {key: placeholders(text) for key, text in texts.sentences.items()} == english
        assert all(text.strip() for text in texts.sentences.values())


def test_every_sentence_is_said_and_every_one_said_exists() -> None:
    sources = [p for p in Path(str(files("service"))).rglob("*") if p.suffix in {".html", ".py"}]
    code = "\n".join(source.read_text("utf-8") for source in sources)
    kinds = set(re.findall(r'Refusal\(\s*\d+,\s*"(\w+)"', code))
    said = set(re.findall(r"""\bt\(f?['"]([a-z_.]+[a-z_])['"]""", code))
    families = set(re.findall(r"""f?['"]([a-z_.]+\.)['"{]""", code))
    for_scripts = re.findall(r"\.for_scripts\((.*?)\)", code)
    families |= set(re.findall(r"'([a-z_.]+)'", " ".join(for_scripts)))

    known = set(TEXTS["en"].sentences)
    used = said | {f"{kind}.{part}" for kind in kinds for part in ("title", "body")}

    assert used - known == set()
    named = set(re.findall(r"""['"]([a-z_]+(?:\.[a-z_0-9]+)+)['"]""", code))
    unsaid = {
        key for key in known - used - named if not key.startswith((*families, "age.", "time"))
    }
    assert unsaid == set()


@pytest.mark.parametrize(
    ("header", "path", "tag"),
    [
        ("vi-VN,vi;q=0.9,en;q=0.5", "/sign-in", "vi"),
        ("de, fr", "/sign-in", "en"),
        ("en", "/sign-in?lang=vi", "vi"),
        ("vi", "/sign-in?lang=xx", "vi"),
        ("", "/queue?lang=vi", "vi"),
    ],
)
def test_the_language_is_the_one_asked_for(
    newsroom: Newsroom, header: str, path: str, tag: str
) -> None:
    with newsroom.visitor(**{"accept-language": header}) as client:
        page = client.get(path).text

    assert f'<html lang="{tag}">' in page


@pytest.mark.parametrize("tag", ["en", "vi"])
def test_ages_are_told_in_one_unit(tag: str) -> None:
    ages = [timedelta(seconds=-5), timedelta(minutes=59), timedelta(hours=47), timedelta(days=400)]

    told = [re.sub(r"\D", "", TEXTS[tag].age(age)) for age in ages]

    assert told == ["", "59", "1", "400"]
    assert TEXTS[tag].time(datetime(1, 1, 1, tzinfo=UTC)).endswith("UTC")


PAIRS = [
    *[(ink, on) for ink in ("ink", "soft", "accent") for on in ("paper", "sheet")],
    *[("ink", on) for on in ("spam", "toxicity", "chip")],
    ("on-accent", "accent"),
    ("on-accent", "accent-deep"),
    ("grave", "grave-wash"),
]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "on"), PAIRS)
def test_text_is_legible_by_wcag_aa(scheme: int, ink: str, on: str) -> None:
    css = files("service.web").joinpath("static", "pages.css").read_text()
    colours = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    ][scheme]

    lighter, darker = sorted((luminance(colours[ink]), luminance(colours[on])), reverse=True)

    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb", as WCAG 2.2 defines it."""
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_site_is_named_only_where_there_are_several(newsroom: Newsroom) -> None:
    newsroom.put()
    with newsroom.moderator() as client:
        alone = client.get("/queue").text
        newsroom.store.add_site("chợ", Policy())
        among = client.get("/queue").text

    assert "<dt>Site</dt>" not in alone
    assert "<dt>Site</dt><dd><bdi>bao</bdi></dd>" in among
