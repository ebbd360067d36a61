import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.outcome import Outcome, Scores
from model.publishable import Publishable
from model.reasons import sentence
from model.submission import CommentType, Submission
from model.verdict import Reason, Verdict
from service.api.schemas import (
    BatchItemOut,
    VerdictOut,
    batch_item_members,
    read_batch,
    read_comment,
    read_decision,
    read_report,
    verdict_members,
)
from service.problems import Problem

JSON = "application/json"
CANARY = "canary.bird@example.org"
CODE = "score.unavailable"


def the_verdict(*args: Any, **options: Any) -> VerdictOut:
    """The members of a verdict, as the model that describes them."""
    return VerdictOut.model_validate(verdict_members(*args, **options))


def the_batch_item(index: int, result: VerdictOut | Problem) -> BatchItemOut:
    told = result.model_dump(exclude_unset=True) if isinstance(result, VerdictOut) else result
    return BatchItemOut.model_validate(batch_item_members(index, told))


def sent(**fields: object) -> Submission:
    return read_comment(json.dumps(fields).encode(), JSON)


def refusal(body: bytes | str, content_type: str | None = JSON) -> Problem:
    body = body if isinstance(body, bytes) else body.encode()
    with pytest.raises(Problem) as refused:
        read_comment(body, content_type)
    return refused.value


def wrong_fields(**fields: object) -> dict[str, str]:
    problem = refusal(json.dumps(fields))
    assert problem.status == 422
    return {error.field: error.message for error in problem.errors}


def test_every_field_arrives() -> None:
    submission = sent(
        content="Bài viết hay quá!",
        author={
            "name": "Nam",
            "email": "nam@example.org",
            "url": "https://nam.example/",
            "ip": "203.0.113.7",
            "user_agent": "Mozilla/5.0",
        },
        permalink="https://blog.example/post",
        article={
            "title": "Phở",
            "language": "vi",
            "published_at": "2026-01-31T09:30:00+07:00",
        },
        parent_id="7",
        type="reply",
        form={"honeypot": "", "seconds_to_fill": 12.5},
        external_id="42",
    )

    assert submission.content == "Bài viết hay quá!"
    assert submission.author.email == "nam@example.org"
    assert submission.author.ip == "203.0.113.7"
    assert submission.article.published_at == datetime(2026, 1, 31, 2, 30, tzinfo=UTC)
    assert submission.type is CommentType.REPLY
    assert submission.form.seconds_to_fill == 12.5
    assert (submission.parent_id, submission.external_id) == ("7", "42")


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"content": null, "author": null, "article": null, "form": null, "type": null}',
        '{"author": {"name": null, "email": null, "url": null, "ip": null}, "form": {}}',
        '{"author": {"ip": ""}, "article": {"language": ""}}',
        '{"site": "x", "author": {"phone": 5}}',
        "\ufeff{}",
        " \r\n\t{} ",
    ],
)
def test_what_is_absent_null_or_unknown_is_empty(body: str) -> None:
    assert read_comment(body.encode(), JSON) == Submission(content="")


@pytest.mark.parametrize(
    "content_type",
    [JSON, "application/json; charset=utf-8", "Application/JSON", "application/ld+json", "", None],
)
def test_any_json_type_or_none_is_taken(content_type: str | None) -> None:
    assert read_comment(b"{}", content_type) == Submission(content="")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json", "a/b+json"],
)
def test_another_type_is_415_and_says_which_is_right(content_type: str) -> None:
    problem = refusal("{}", content_type)

    assert (problem.status, problem.code) == (415, "wrong_content_type")
    assert "application/json" in problem.detail


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "broken_json"),
        (b"{", "broken_json"),
        (b'{"content": "a" "b"}', "broken_json"),
        (b"{} {}", "broken_json"),
        (b"{'content': 'a'}", "broken_json"),
        (b'{"content": "a\tb"}', "broken_json"),
        (b'{"content": "\\x"}', "broken_json"),
        (b'{"content": "\\ud83', "broken_json"),
        (b'{"x": ' + b"9" * 100_000 + b"}", "broken_json"),
        (b'{"content": "\xff"}', "not_utf8"),
        (b'{"content": "\xed\xa0\x80"}', "not_utf8"),
        ('{"content": "a"}'.encode("utf-16"), "not_utf8"),
        (b'{"x": ' + b"[" * 250_000 + b"]" * 250_000 + b"}", "too_deep"),
        (b'{"a":' * 100_000, "too_deep"),
        (b'{"content": "\\ud800", "x": ' + b"[" * 250_000, "too_deep"),
    ],
)
def test_what_is_not_json_is_a_bad_request(body: bytes, code: str) -> None:
    problem = refusal(body)

    assert (problem.status, problem.code) == (400, code)


def test_broken_json_is_told_the_place_and_never_the_text() -> None:
    problem = refusal(f'{{"content": "a",\n "author": {CANARY}}}')

    assert problem.detail == "The JSON is broken or ends early at line 2, column 12."


@pytest.mark.parametrize("body", ["[]", "null", "1", '"a"', "true"])
def test_what_is_no_object_is_told_so(body: str) -> None:
    problem = refusal(body)

    assert (problem.status, problem.code) == (422, "wrong_fields")
    assert problem.errors[0].message == "must be an object"


def test_every_wrong_field_is_named_at_once() -> None:
    assert wrong_fields(
        content=5,
        author={"name": ["x"], "ip": "1.2.3.4.5"},
        article={"published_at": "yesterday", "language": "vi vn"},
        type="spam",
        form={"seconds_to_fill": "3"},
        parent_id=12,
    ) == {
        "content": "must be a string",
        "author.name": "must be a string",
        "author.ip": "must be an IPv4 or IPv6 address",
        "article.published_at": "must be a date and time such as 2026-01-31T09:30:00+07:00",
        "article.language": "must be a language tag such as vi or en-GB",
        "type": "must be 'comment', 'reply', 'pingback' or 'trackback'",
        "form.seconds_to_fill": "must be a number",
        "parent_id": "must be a string",
    }


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1", "-0.5"])
def test_seconds_are_finite_and_not_negative(number: str) -> None:
    problem = refusal(f'{{"form": {{"seconds_to_fill": {number}}}}}')

    assert [error.message for error in problem.errors] == ["must be a finite number, 0 or more"]


@pytest.mark.parametrize("number", ["true", '"3"', "[3]"])
def test_seconds_are_a_number(number: str) -> None:
    problem = refusal(f'{{"form": {{"seconds_to_fill": {number}}}}}')

    assert [error.message for error in problem.errors] == ["must be a number"]


@pytest.mark.parametrize(
    ("ip", "kept"),
    [
        (" 203.0.113.7 ", "203.0.113.7"),
        ("::FFFF:203.0.113.7", "203.0.113.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("", ""),
    ],
)
def test_an_ip_has_one_spelling(ip: str, kept: str) -> None:
    assert sent(author={"ip": ip}).author.ip == kept


@pytest.mark.parametrize(
    "ip",
    [
        "1.2.3",
        "1.2.3.4:80",
        "01.2.3.4",
        "::1%eth0",
        f"::1%{CANARY}",
        "localhost",
        "1" * 500,
        "१.1.1.1",
        CANARY,
    ],
)
def test_what_is_no_ip_is_refused(ip: str) -> None:
    assert list(wrong_fields(author={"ip": ip})) == ["author.ip"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T09:30:00Z", datetime(2026, 1, 31, 9, 30, tzinfo=UTC)),
        ("2026-01-31 09:30:00", datetime(2026, 1, 31, 9, 30, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("1969-12-31T23:59:59Z", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_moment_is_kept_in_utc(text: str, moment: datetime) -> None:
    assert sent(article={"published_at": text}).article.published_at == moment


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-02-30",
        "5",
        "-1",
        "",
        "x" * 70,
    ],
)
def test_what_is_no_moment_of_our_calendar_is_refused(text: str) -> None:
    assert list(wrong_fields(article={"published_at": text})) == ["article.published_at"]


@pytest.mark.parametrize(
    ("escaped", "kept"),
    [
        (r"\ud83d\ude00", "😀"),
        (r"a\ud83d", "a\ufffd"),
        (r"\ude00b", "\ufffdb"),
        (r"\ud83d\ud83d\ude00", "\ufffd😀"),
        (r"\uD83D\u0041", "\ufffdA"),
        (r"\\ud83d", r"\ud83d"),
        (r"\ud83d \\ud83d \" \\\\", '\ufffd \\ud83d " \\\\'),
        (r"a\u0000b", "a\ufffdb"),
    ],
)
def test_half_an_emoji_or_nul_does_not_lose_a_comment(escaped: str, kept: str) -> None:
    submission = read_comment(f'{{"content": "{escaped}"}}'.encode(), JSON)

    assert submission.content == kept


def test_of_a_key_given_twice_the_last_counts() -> None:
    assert read_comment(b'{"content": "a", "content": "b"}', JSON).content == "b"


def test_content_has_no_limit_here_but_the_bodys() -> None:
    assert len(sent(content="a" * 65_537).content) == 65_537


def test_what_browsers_send_is_cut_and_what_sites_send_is_refused() -> None:
    long = "a" * 3000

    submission = sent(author={"user_agent": long}, article={"title": long})

    assert len(submission.author.user_agent) == len(submission.article.title) == 1000
    assert wrong_fields(parent_id=long, external_id=long, permalink=long) == {
        "parent_id": "must have at most 255 characters",
        "external_id": "must have at most 255 characters",
        "permalink": "must have at most 2000 characters",
    }


def test_addresses_are_masked_where_only_the_site_or_a_browser_writes() -> None:
    submission = sent(
        content=f"write to {CANARY}",
        author={
            "name": CANARY,
            "email": CANARY,
            "url": f"https://example.org/{CANARY}?mail=canary.bird%40example.org#{CANARY}",
            "user_agent": f"bot ({CANARY})",
        },
        permalink=f"https://blog.example/?unsubscribe={CANARY}",
        article={"title": f"Ask {CANARY}"},
        parent_id=CANARY,
        form={"honeypot": CANARY},
        external_id=CANARY,
    )

    assert submission.content == f"write to {CANARY}"
    assert submission.author.name == submission.author.email == CANARY
    assert "canary" not in repr(submission).replace(repr(CANARY), "").replace(
        repr(f"write to {CANARY}"), ""
    )
    assert submission.external_id == "c•••@example.org"
    assert submission.author.url.startswith("https://example.org/")


def test_a_url_with_credentials_is_left_for_the_form_to_refuse() -> None:
    url = "https://me:pw@example.org/x?y=z"

    assert sent(author={"url": url}).author.url == url


@given(st.binary(max_size=300))
@example(b'{"content": "\\ud800\\')
@example(b'{"a\\ud800": {"b": [NaN, -0, 1e400]}}')
def test_any_bytes_are_a_submission_or_a_problem(body: bytes) -> None:
    outcome: Submission | Problem
    try:
        outcome = read_comment(body, JSON)
    except Problem as problem:
        outcome = problem

    assert isinstance(outcome, Submission) or outcome.status in {400, 422}


FIELDS = [
    *("content", "author", "name", "ip", "url", "article", "published_at", "language"),
    *("form", "seconds_to_fill", "honeypot", "parent_id", "type", "permalink"),
]
_JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(_JSON_VALUES)
def test_one_comment_and_the_same_in_a_batch_fare_alike(value: object) -> None:
    body = json.dumps(value).encode()
    try:
        alone: Submission | tuple[object, ...] = read_comment(body, JSON)
    except Problem as problem:
        alone = (problem.code, problem.errors)

    in_batch = read_batch(b"[" + body + b"]", JSON)[0]

    if isinstance(in_batch, Problem):
        assert (in_batch.code, in_batch.errors) == alone
    else:
        assert in_batch == alone


def test_no_refusal_repeats_what_was_sent() -> None:
    problem = refusal(
        json.dumps({CANARY: 1, "author": {"ip": CANARY}, "type": CANARY, "content": [CANARY]})
    )

    assert "canary" not in f"{problem!r} {problem} {problem.body()} {problem.__cause__}"
    assert problem.__suppress_context__


# ------------------------------------------------------------------ batches


def contents(results: list[Submission | Problem]) -> list[str]:
    return [r.code if isinstance(r, Problem) else r.content for r in results]


def test_an_array_is_read_in_order_and_one_bad_item_does_not_fail_the_rest() -> None:
    body = b'[{"content": "a"}, 5, {"content": 5}, {"content": "\\ud800b"}, {"content": "c"}]'

    results = read_batch(body, JSON)

    assert contents(results) == ["a", "wrong_fields", "wrong_fields", "\ufffdb", "c"]


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/jsonl", JSON, None])
def test_lines_are_read_in_order_and_a_broken_one_does_not_fail_the_rest(
    content_type: str | None,
) -> None:
    body = (
        b'\xef\xbb\xbf{"content": "a"}\r\n\n  \n{"content":\n{"content": "\xff"}\n{"content": "b"}'
    )

    results = read_batch(body, content_type)

    assert contents(results) == ["a", "broken_json", "not_utf8", "b"]


def test_a_line_separator_inside_a_text_does_not_end_the_line() -> None:
    body = '{"content": "a\u2028b\x85c"}\n'.encode()

    assert contents(read_batch(body, "application/x-ndjson")) == ["a\u2028b\x85c"]


@pytest.mark.parametrize("body", [b"[]", b" [ ] "])
def test_an_empty_array_is_an_empty_batch(body: bytes) -> None:
    assert read_batch(body, JSON) == []


def test_lines_that_are_all_blank_are_an_empty_batch() -> None:
    assert read_batch(b"\n\n \n", "application/x-ndjson") == []


def test_an_array_in_an_object_is_told_to_come_alone() -> None:
    with pytest.raises(Problem) as refused:
        read_batch(b'{"comments": [{"content": "a"}]}', JSON)
    assert "the array itself" in refused.value.detail
    assert contents(read_batch(b'{"content": "a", "tags": "b"}', JSON)) == ["a"]
    lines = b'{"content": "a", "tags": ["b"]}'
    assert contents(read_batch(lines, "application/x-ndjson")) == ["a"]


@pytest.mark.parametrize("separator", [b",", b"\n"])
def test_a_thousand_are_taken_and_one_more_is_not(separator: bytes) -> None:
    opening, closing = (b"[", b"]") if separator == b"," else (b"", b"")

    taken = read_batch(opening + separator.join([b"{}"] * 1000) + closing, JSON)

    assert len(taken) == 1000
    with pytest.raises(Problem) as refused:
        read_batch(opening + separator.join([b"{}"] * 1001) + closing, JSON)
    assert refused.value.code == "too_many_items"


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[]," * 600_000 + b"[]]",
        b'{"content": [' + b"{}," * 600_000 + b"{}]}",
        b'[{"x": [' + b"1," * 4_100_000 + b"1]}]",
    ],
    ids=["arrays", "objects in a line", "numbers"],
)
def test_a_batch_of_structure_alone_is_refused_before_it_is_parsed(body: bytes) -> None:
    with pytest.raises(Problem) as refused:
        read_batch(body, JSON)

    assert refused.value.code == "too_complex"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "broken_json"),
        (b"[{}", "broken_json"),
        (b"[{}] x", "broken_json"),
        (b"[" * 100_000, "too_deep"),
        (b'["\xff"]', "not_utf8"),
        (b"5", "wrong_fields"),
        (b"null", "wrong_fields"),
        (b"hello", "broken_json"),
    ],
)
def test_a_batch_that_is_none_is_refused_whole(body: bytes, code: str) -> None:
    with pytest.raises(Problem) as refused:
        read_batch(body, JSON)

    assert refused.value.code == code


def test_a_batch_of_another_type_is_told_both_that_are_right() -> None:
    with pytest.raises(Problem) as refused:
        read_batch(b"[]", "text/csv")

    assert refused.value.status == 415
    assert "x-ndjson" in refused.value.detail


def test_repairing_takes_time_in_proportion() -> None:
    began = time.process_time()

    read_comment(b'{"content": "' + rb"\ud800\\" * 50_000 + b'"}', JSON)

    assert time.process_time() - began < 2


# ------------------------------------------------------------------ decisions, reports, answers


def test_a_decision_is_read() -> None:
    decision = read_decision(b'{"outcome": "reject", "reason": "off_topic"}', JSON)

    assert decision.outcome == "reject"
    assert decision.reject_reason() == "off_topic"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"outcome": "reject"}', "reason"),
        (b'{"outcome": "accept", "reason": "spam"}', "reason"),
        (b'{"outcome": "queue"}', "outcome"),
        (b"{}", "outcome"),
        (b'{"outcome": "reject", "reason": "rude"}', "reason"),
    ],
)
def test_a_decision_that_is_none_is_refused(body: bytes, field: str) -> None:
    with pytest.raises(Problem) as refused:
        read_decision(body, JSON)

    assert [error.field for error in refused.value.errors] == [field]


def test_a_report_is_read() -> None:
    assert read_report(b'{"kind": "ham"}', JSON).report() == "ham"


def test_a_verdict_is_answered_in_words() -> None:
    verdict = Verdict(
        outcome=Outcome.QUEUE,
        scores=None,
        reasons=(Reason(CODE),),
        hits=(),
        spans=(),
        model="",
        policy="abc",
    )
    shown = Publishable(name="Nam", url="", html="a")

    answer = json.loads(the_verdict("7", verdict, shown, language="vi").model_dump_json())

    assert answer["verdict"] == "queue"
    assert answer["scores"] is None
    assert answer["reasons"][0]["code"] == CODE
    assert answer["reasons"][0]["message"] == sentence(CODE, "vi")
    assert answer["publishable"]["rel"] == "nofollow ugc"


def test_scores_are_answered_as_they_are() -> None:
    verdict = Verdict(Outcome.ACCEPT, Scores(0.25, 0.5), (), (), (), model="m", policy="p")
    shown = Publishable(name="", url="", html="")

    answer = the_batch_item(3, the_verdict("7", verdict, shown, language="vi"))

    assert (answer.index, answer.status) == (3, 200)
    assert answer.answer is not None
    assert answer.answer.scores is not None
    assert (answer.answer.scores.spam, answer.answer.scores.toxicity) == (0.25, 0.5)


def test_a_problem_in_a_batch_keeps_its_status_and_errors() -> None:
    problem = refusal('{"content": 5}')

    answer = the_batch_item(0, problem)

    assert answer.status == 422
    assert answer.problem is not None
    assert answer.problem.errors[0].field == "content"
