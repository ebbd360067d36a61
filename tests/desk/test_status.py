"""A commenter's page: what it says, to whom, and the one appeal."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from model.decision import Decision, RejectReason
from model.outcome import Outcome
from model.submission import Article
from model.verdict import Reason
from service.keyring import Keyring
from service.status_links import StatusLinks, path_of
from service.storage import Waiting
from service.storage.status_pages import MOST_A_DAY, MOST_ALIKE, StatusPages
from tests.api.service import a_comment, running
from tests.browser.newsroom import SPAM, Newsroom, form_token, open_newsroom, verdict_on
from tests.storage.cases import accept, reject

REJECTS = replace(verdict_on(SPAM), outcome=Outcome.REJECT)
HOSTILE = "<script>alert(1)</script>\u202e <img src=x onerror=alert(1)> lan.viet@thu.example"


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Newsroom]:
    with open_newsroom(tmp_path) as room:
        yield room


def path(room: Newsroom, comment_id: str) -> str:
    return path_of(room.store.keyring, comment_id)


def rejected(room: Newsroom, content: str = SPAM.content, ip: str = "", email: str = "") -> str:
    """A comment that the machine rejected."""
    author = replace(SPAM.author, ip=ip or SPAM.author.ip, email=email or SPAM.author.email)
    return room.put(replace(SPAM, content=content, author=author), REJECTS)


def sent(client: httpx.Client, at: str, words: str) -> httpx.Response:
    """The answer to an appeal made with the page's own form."""
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', client.get(at).text)
    token = found[1] if found else ""
    return client.post(f"{at}/appeal", data={"form_token": token, "words": words})


# ------------------------------------------------------------------ what it says


def test_it_says_what_became_of_a_comment(room: Newsroom) -> None:
    waits, published, refused = room.put(), room.put(), room.put()
    room.store.decide(None, published, accept(room.clock()))
    room.store.decide(None, refused, reject(room.clock(), reason=RejectReason.OFF_TOPIC))

    with room.visitor() as client:
        said = [client.get(path(room, one)).text for one in (waits, published, refused)]

    assert "is being looked at" in said[0]
    assert "was accepted" in said[1]
    assert "was not published" in said[2]
    assert "not to be about the article" in said[2]


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (("score.spam_likely",), "advertising"),
        (("score.toxicity_likely",), "insult"),
        (("score.toxicity_likely", "memory.rejected_before"), "advertising"),
        (("links.too_many",), "rules for comments here"),
    ],
)
def test_the_machine_s_reason_is_a_plain_category(
    room: Newsroom, codes: tuple[str, ...], words: str
) -> None:
    verdict = replace(REJECTS, reasons=tuple(Reason(code, "content", "x") for code in codes))
    comment_id = room.put(SPAM, verdict)

    with room.visitor() as client:
        assert words in client.get(path(room, comment_id)).text


def test_it_tells_no_score_rule_word_name_or_moderator(room: Newsroom) -> None:
    comment_id = rejected(room)
    other = room.put()
    room.store.decide(None, other, reject(room.clock(), by="Bích Ngọc"))

    with room.visitor() as client:
        said = client.get(path(room, comment_id)).text + client.get(path(room, other)).text

    said = re.sub(r"/status/[^\"]*|value=\"[^\"]*\"", "", said)
    kept = ("71", "0.02", "score", "Vay", "Bích", "bao", "Kiệm", "nhanh", "Lãi", "2026-02-11")
    assert [one for one in kept if one in said] == []


@pytest.mark.parametrize(
    ("accepts", "article", "content", "language"),
    [
        ("vi,en;q=0.5", "en", "Good article, thank you", "vi"),
        ("en", "vi", SPAM.content, "en"),
        ("fr", "vi", SPAM.content, "vi"),
        ("", "", "Bài viết hay quá, cảm ơn tác giả đã chia sẻ với mọi người!", "vi"),
        ("", "", "Good article, thank you for sharing it with all of us!", "en"),
    ],
)
def test_it_speaks_the_reader_s_language_or_else_the_comment_s(
    room: Newsroom, accepts: str, article: str, content: str, language: str
) -> None:
    comment_id = room.put(replace(SPAM, content=content, article=Article("", article)))

    with room.visitor(**{"accept-language": accepts}) as client:
        first = client.get(path(room, comment_id)).text
        asked = client.get(path(room, comment_id) + "?lang=vi")

    assert f'<html lang="{language}">' in first
    assert '<html lang="vi">' in asked.text
    assert "set-cookie" not in asked.headers


def test_it_is_kept_by_nobody_and_runs_nothing(room: Newsroom) -> None:
    with room.visitor() as client:
        found = client.get(path(room, rejected(room)))

    assert found.headers["cache-control"] == "no-store"
    assert "noindex" in found.headers["x-robots-tag"]
    assert found.headers["referrer-policy"] == "same-origin"
    assert "default-src 'none'" in found.headers["content-security-policy"]
    assert "script-src" not in found.headers["content-security-policy"]
    assert '<meta name="robots" content="noindex' in found.text
    assert "<script" not in found.text
    assert "/queue" not in found.text
    assert re.findall(r'(?:href|src|action)="(?!/|\?)', found.text) == []


# ------------------------------------------------------------------ whose it is


def test_a_token_opens_no_other_comment_and_a_guess_none(room: Newsroom) -> None:
    mine, other = room.put(), room.put()
    token = path(room, mine).rpartition("/")[2]
    guesses = [token[:-1], token[:-1] + "~", token.lower(), token + "A", "x" * 5000, "%00", "é"]

    with room.visitor() as client:
        gone = client.get(f"/status/{other}/{token}")
        answers = [client.get(f"/status/{mine}/{guess}") for guess in guesses]

    assert gone.status_code == 404
    assert {answer.status_code for answer in answers} == {404}
    assert {answer.text for answer in answers} == {gone.text}


def test_a_comment_that_is_gone_is_as_one_that_never_was(room: Newsroom) -> None:
    comment_id = room.put()
    with room.visitor() as client:
        assert client.get(path(room, comment_id)).status_code == 200
        with room.store.writes() as connection:
            for table in ("queue", "verdicts"):
                connection.exec_driver_sql(f"DELETE FROM {table}")
            connection.exec_driver_sql("DELETE FROM comments")
        gone = client.get(path(room, comment_id))
        never = client.get("/status/01890000-0000-7000-8000-000000000000/AAAAAAAAAAAAAAAAAAAAAAAA")

    assert (gone.status_code, gone.text) == (404, never.text)
    assert {name: gone.headers[name] for name in gone.headers if name != "date"} == {
        name: never.headers[name] for name in never.headers if name != "date"
    }
    assert "There is no comment here" in gone.text


def test_a_head_request_tells_no_more_than_a_get(room: Newsroom) -> None:
    with room.visitor() as client:
        found = client.head(path(room, room.put()))
        wrong = client.head("/status/a/b")

    assert (found.status_code, found.content) == (200, b"")
    assert (wrong.status_code, wrong.content) == (404, b"")


def test_a_link_says_nothing_of_the_site_and_needs_a_public_address(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path / "secrets")
    other = Keyring.open(tmp_path / "others")
    links = StatusLinks(keyring, "https://duyet.example/d")

    assert re.fullmatch(r"https://duyet\.example/d/status/abc/[\w-]{24}", links("abc"))
    assert links("abc") == links("abc") != StatusLinks(other, "https://duyet.example/d")("abc")
    assert StatusLinks(keyring, "")("abc") == ""


# ------------------------------------------------------------------ the appeal


def test_an_appeal_puts_the_comment_before_moderators_with_its_words(room: Newsroom) -> None:
    comment_id = rejected(room)

    with room.visitor() as client:
        answer = sent(
            client, path(room, comment_id), "Tôi không bán gì cả.\r\nlan.viet@thu.example"
        )
        after = client.get(answer.headers["location"]).text
    with room.moderator() as mai:
        queue = mai.get("/queue").text

    item = room.store.queue_page(None).items[0]
    assert answer.status_code == 303
    assert "You asked for another look" in after
    assert "<textarea" not in after
    assert (item.comment.id, item.why) == (comment_id, Waiting.APPEAL)
    assert item.comment.state is Outcome.REJECT
    assert "Its author asks for another look" in queue
    assert "Tôi không bán gì cả." in queue
    assert "lan.viet" not in queue
    assert [e.actor for e in room.store.events(None) if e.kind == "appealed"] == ["commenter"]


def test_hostile_words_are_text_on_the_card_and_in_the_form(room: Newsroom) -> None:
    comment_id = rejected(room)

    with room.visitor() as client:
        long = sent(client, path(room, comment_id), HOSTILE + "x" * 1000)
        sent(client, path(room, comment_id), HOSTILE)
    with room.moderator() as mai:
        queue = mai.get("/queue").text

    assert long.status_code == 422
    assert "</textarea><script" not in long.text
    assert "<script>alert" not in long.text + queue
    assert "&lt;script&gt;alert(1)" in queue
    assert "\u202e" not in queue
    assert "U+202E" in queue


def test_one_cannot_appeal_twice_nor_for_what_is_not_refused(room: Newsroom) -> None:
    waits, published, refused = room.put(), room.put(), rejected(room)
    room.store.decide(None, published, accept(room.clock()))
    pages = StatusPages(room.store)

    with room.visitor() as client:
        form = re.search(r'value="([0-9a-f]{64})"', client.get(path(room, refused)).text)
        assert form
        once = {"form_token": form[1], "words": "once"}
        first = client.post(f"{path(room, refused)}/appeal", data=once)
        again = client.post(f"{path(room, refused)}/appeal", data=once)
        shown = [client.get(path(room, one)).text for one in (waits, published)]

    assert (first.status_code, again.status_code) == (303, 409)
    assert [("<form" in page) for page in shown] == [False, False]
    for one in (waits, published, refused):
        with pytest.raises(Exception, match="nothing to appeal"):
            pages.appeal(one, "again")
    assert room.store.queue_size(None) == 2


def test_of_two_appeals_at_once_one_counts(room: Newsroom) -> None:
    comment_id = rejected(room)

    def one(words: str) -> int:
        with room.visitor() as client:
            return sent(client, path(room, comment_id), words).status_code

    with ThreadPoolExecutor(4) as threads:
        answers = sorted(threads.map(one, "abcd"))

    assert answers[0] == 303
    assert set(answers[1:]) <= {403, 409}  # 403 for who saw the page after it was over
    assert room.store.queue_size(None) == 1


def test_a_form_from_elsewhere_or_without_its_token_does_nothing(room: Newsroom) -> None:
    comment_id = rejected(room)
    at = f"{path(room, comment_id)}/appeal"
    good = {}

    with room.visitor() as client:
        found = re.search(r'value="([0-9a-f]{64})"', client.get(path(room, comment_id)).text)
        assert found
        good = {"form_token": found[1], "words": "hello"}
        answers = [
            client.post(at, data=good, headers={"origin": "https://evil.example"}),
            client.post(at, data=good, headers={"sec-fetch-site": "cross-site"}),
            client.post(at, data={"words": "hello"}),
            client.post(at, data=good | {"form_token": "0" * 64}),
            client.post(f"/status/{comment_id}/wrong/appeal", data=good),
        ]

    assert [answer.status_code for answer in answers] == [403, 403, 403, 403, 404]
    assert room.store.queue_size(None) == 0


@pytest.mark.parametrize(
    ("words", "status"),
    [("", 422), ("   \n ", 422), ("x" * 1001, 422), ("x\0y", 422), ("é" * 1000, 303)],
)
def test_an_appeal_has_a_few_words(room: Newsroom, words: str, status: int) -> None:
    with room.visitor() as client:
        assert sent(client, path(room, rejected(room)), words).status_code == status


def test_a_huge_appeal_is_refused(room: Newsroom) -> None:
    with room.visitor() as client:
        answer = sent(client, path(room, rejected(room)), "x" * 400_000)

    assert answer.status_code == 422
    assert "399,000" in answer.text.replace("\u2068", "")


def test_who_appeals_all_the_time_has_to_wait(room: Newsroom) -> None:
    ids = [rejected(room, f"text {n}", f"2001:db8:{n}::1", f"a{n}@thu.example") for n in range(11)]

    with room.visitor() as client:
        answers = [sent(client, path(room, one), "please").status_code for one in ids]

    assert answers == [303] * 10 + [429]


def test_alike_comments_are_appealed_for_a_few_times_a_day(room: Newsroom) -> None:
    ids = [rejected(room, ip=f"203.0.{n}.1", email=f"a{n}@thu.example") for n in range(5)]
    pages = StatusPages(room.store)

    for one in ids[:MOST_ALIKE]:
        pages.appeal(one, "please")
    with pytest.raises(Exception, match="as many appeals"):
        pages.appeal(ids[-1], "please")
    room.clock.advance(hours=24)

    assert pages.appeal(ids[-1], "please").appeal is not None


def test_appeals_cannot_fill_the_queue(room: Newsroom) -> None:
    pages = StatusPages(room.store)
    refused = 0
    for n in range(MOST_A_DAY + 5):
        one = rejected(room, f"text {n}", f"2001:db8:{n:x}::1", f"a{n}@thu.example")
        try:
            pages.appeal(one, "please")
        except Exception as problem:  # noqa: BLE001  which one is asked below
            refused += type(problem).__name__ == "TooManyAppeals"

    assert (room.store.queue_size(None), refused) == (MOST_A_DAY, 5)


# ------------------------------------------------------------------ its answer


def test_the_answer_to_an_appeal_is_a_decision_and_the_page_says_it(room: Newsroom) -> None:
    first, second = rejected(room, "one"), rejected(room, "two")
    pages = StatusPages(room.store)
    for one in (first, second):
        pages.appeal(one, "please")

    with room.moderator() as mai:
        own = {"form_token": form_token(mai)}
        mai.post(f"/queue/{first}/accept", data=own)
        mai.post(f"/queue/{second}/reject", data=own | {"reason": "toxic"})
        said = [mai.get(path(room, one)).text for one in (first, second)]

    assert "was accepted" in said[0]
    assert "A person looked at it again" in said[0]
    assert "was looked at again" in said[1]
    assert "insult" in said[1]
    assert "<textarea" not in said[0] + said[1]


def test_an_appeal_against_a_decision_is_answered_by_another_one(room: Newsroom) -> None:
    comment_id = room.put()
    room.store.decide(None, comment_id, reject(room.clock(), by="bob"))
    StatusPages(room.store).appeal(comment_id, "please")
    while_it_waits = room.comment(comment_id)

    room.clock.advance(minutes=1)
    room.store.decide(None, comment_id, Decision(Outcome.ACCEPT, None, "ann", room.clock()))
    answered = room.comment(comment_id)

    assert while_it_waits.state is Outcome.REJECT
    assert while_it_waits.decision
    assert while_it_waits.decision.moderator == "bob"
    assert answered.state is Outcome.ACCEPT
    assert answered.decision
    assert answered.decision.moderator == "ann"
    assert answered.waiting_since is None


# ------------------------------------------------------------------ as the site gets it


def test_a_verdict_has_the_link_where_the_service_has_a_public_address(tmp_path: Path) -> None:
    with running(tmp_path, DUYET_PUBLIC_URL="https://duyet.example/d/") as service:
        judged = service.post(a_comment()).json()
        batch = service.post([a_comment("Rất hay")], "/v1/comments/batch").json()
        stored = service.get(f"/v1/comments/{judged['id']}").json()
        decided = service.post(
            {"outcome": "reject", "reason": "spam"}, f"/v1/comments/{judged['id']}/decision"
        ).json()
        at = judged["status_url"].removeprefix("https://duyet.example/d")
        page = httpx.get(service.url + at, headers={"accept-language": "en"}, trust_env=False)

    assert judged["status_url"] == stored["status_url"] == decided["status_url"]
    assert batch["items"][0]["answer"]["status_url"] != judged["status_url"]
    assert "blog" not in judged["status_url"]
    assert "advertising" in page.text
    assert "page.skip" not in page.text


def test_without_one_there_is_none(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        judged = service.post(a_comment()).json()
        stored = service.get(f"/v1/comments/{judged['id']}").json()

    assert "status_url" not in judged.keys() | stored.keys()
