"""What is written of a submission: the same however fast it is made."""

import hmac
import ipaddress
import math
import re
from collections.abc import Callable
from dataclasses import astuple, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.addresses import mask_addresses
from model.submission import Article, FormFacts
from service.keyring import Keyring, masked_ip
from service.storage import Checked, IdempotencyRace, Site, Store, StoreError
from service.storage.records import Asked, Known
from service.storage.rows import comment_row, match_keys
from service.storage.spooled import known_of_nobody
from service.storage.tables import comments, in_utc
from tests.storage.cases import SUBMISSION, VERDICT, Clock, asked, record

AT = datetime(2026, 3, 1, tzinfo=UTC)
COLUMNS = comments.columns.keys()


def an_asked(**changes: object) -> Asked:
    sent = replace(SUBMISSION, **changes)  # type: ignore[arg-type]
    return Asked("s-1", "c-1", sent, AT, "a normal text", "request-1")


def written(keyring: Keyring, one: Asked) -> dict[str, object]:
    checked = Checked(one, known_of_nobody(keyring, one), VERDICT, 1.0)
    return dict(zip(COLUMNS, comment_row(keyring, checked, in_utc), strict=True))


@pytest.fixture(scope="module")
def one_keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring.open(tmp_path_factory.mktemp("rows") / "secrets")


def test_a_key_is_the_hmac_that_databases_hold_already(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path / "secrets")
    [digits] = re.findall(rb"[0-9a-f]{64}", (tmp_path / "secrets" / "match.key").read_bytes())
    said = b"text\0s-1\0" + "trắng".encode()

    names = [keyring.text_key("s-1", "trắng") for _ in range(2)]

    assert names == [hmac.digest(bytes.fromhex(digits.decode()), said, "sha256").hex()[:32]] * 2


@pytest.mark.parametrize(
    "sent",
    [
        SUBMISSION,
        replace(SUBMISSION, article=Article("A", "vi", datetime(2026, 1, 2, 3, 4, 5, 6, UTC))),
        replace(SUBMISSION, form=FormFacts("trap", None), content="half a pair: \ud800"),
    ],
)
def test_a_request_is_told_by_all_of_its_fields_as_before(
    one_keyring: Keyring, sent: object
) -> None:
    one = an_asked()
    one = replace(one, submission=sent)  # type: ignore[arg-type]

    body = match_keys(one_keyring, one).body

    assert body == one_keyring.match_key("body", "s-1", repr(astuple(one.submission)))


@given(
    st.from_regex(r" ?0{0,2}[0-9]{1,3}(\.[0-9]{1,3}){2,3}(%a)? ?|[0-9./a-f:]{0,12}", fullmatch=True)
)
def test_an_ip_is_read_as_ipaddress_reads_it(ip: str) -> None:
    try:
        network = ipaddress.ip_network((ip.strip().partition("%")[0], 24), strict=False)
    except ValueError:
        network = None

    masked = masked_ip(ip)

    assert ":" in masked or masked == ("" if network is None else str(network))


@given(
    st.tuples(*[st.text(st.sampled_from([*"&#x640;%2E@.a9 ＠", "\\"]), max_size=12)] * 5),
)
def test_each_text_is_masked_as_if_it_were_alone(
    one_keyring: Keyring, texts: tuple[str, str, str, str, str]
) -> None:
    title, language, permalink, parent_id, external_id = texts
    one = an_asked(
        article=Article(title, language),
        permalink=permalink,
        parent_id=parent_id,
        external_id=external_id,
    )

    row = written(one_keyring, one)

    names = ("article_title", "article_language", "permalink", "parent_id", "external_id")
    assert tuple(row[name] for name in names) == tuple(map(mask_addresses, texts))


def test_the_end_of_one_text_and_the_start_of_the_next_hide_no_address(
    one_keyring: Keyring,
) -> None:
    # "&#64" followed by a digit is no at sign.
    one = an_asked(permalink="/?to=an&#64b.example", article=Article("an&#64", "4.example"))

    row = written(one_keyring, one)

    assert row["permalink"] == mask_addresses("/?to=an&#64b.example") != one.submission.permalink


def test_a_spooled_comment_has_its_values_by_name(store: Store, site: Site, clock: Clock) -> None:
    one = asked(site, clock(), idempotency_key="request-1")
    [known] = store.unrecorded([one])

    [kept] = store.sealed([Checked(one, known, VERDICT, 1.0)])

    assert kept.by_table["comments"]["author_name"] == SUBMISSION.author.name
    assert kept.by_table["verdicts"]["policy"] == VERDICT.policy
    assert kept.by_table["queue"]["risk"] == 0.625
    assert (kept.key_mac, kept.body_mac) == (known.keys.idempotency, known.keys.body)


def test_a_time_without_end_is_kept(store: Store, site: Site, clock: Clock) -> None:
    slow = replace(SUBMISSION, form=FormFacts(seconds_to_fill=math.inf))

    (stored,) = record(store, asked(site, clock(), slow))

    assert stored.submission.form.seconds_to_fill == math.inf


def _id_taken(one: Asked, earlier: str) -> Asked:
    return replace(one, comment_id=earlier)


def _site_gone(one: Asked, _: str) -> Asked:
    return replace(one, site_id="nowhere")


@pytest.mark.parametrize("broken", [_id_taken, _site_gone])
def test_only_a_request_that_is_there_is_a_race(
    store: Store, site: Site, clock: Clock, broken: Callable[[Asked, str], Asked]
) -> None:
    (earlier,) = record(store, asked(site, clock(), idempotency_key="request-1"))
    one = broken(asked(site, clock(), idempotency_key="request-2"), earlier.id)
    [known] = store.gather([one])

    with pytest.raises(StoreError) as refusal:
        store.record([Checked(one, known, VERDICT, 1.0)])

    assert type(refusal.value) is StoreError
    assert refusal.value.__context__ is None


def test_a_race_says_nothing_of_what_was_sent(store: Store, site: Site, clock: Clock) -> None:
    one, other = (asked(site, clock(), idempotency_key="request-1") for _ in range(2))
    known: list[Known] = [store.gather([each])[0] for each in (one, other)]
    store.record([Checked(one, known[0], VERDICT, 1.0)])

    with pytest.raises(IdempotencyRace) as refusal:
        store.record([Checked(other, known[1], VERDICT, 1.0)])

    assert refusal.value.__context__ is None
    assert store.comment(None, other.comment_id) is None
