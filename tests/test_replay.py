"""Judging stored comments again: what is known again, what would change, and in which order."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from model.classifier import Classifier
from model.lists import Act, Entry, Lists
from model.lists import Kind as Of
from model.outcome import HeadThresholds, Outcome, Thresholds
from model.policy import Policy
from model.registry import CHALLENGER, CHAMPION
from model.rejudging import Past, Setup, judged_again
from model.submission import Author, FormFacts, History, Submission
from model.verdict import RuleHit
from service.commands.replay import replay
from service.replay import MOST_FLIPS, PAGE, Kind, Replayed, replayed, setups_of, together
from service.storage.past import Stretch
from service.storage.tables import EPOCH
from tests.both_models import POLICY, SENT, Desk, open_desk
from tests.judging_cases import a_classifier
from tests.storage.cases import accept, reject

ACCEPT, QUEUE, REJECT = Outcome


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_desk(tmp_path) as desk:
        yield desk


def whole(desk: Desk) -> Stretch:
    return Stretch.between(None, EPOCH, desk.clock() + timedelta(days=1))


def again(
    desk: Desk, model: str = CHAMPION, *, most: int = MOST_FLIPS, page: int = PAGE
) -> Replayed:
    setups = setups_of(desk.store.sites(), desk.registry.load(model))
    return replayed(desk.store, whole(desk), setups, most=most, page=page)


def called(desk: Desk, *arguments: str, typed: str | None = None) -> Result:
    place = desk.registry.root.parent
    return CliRunner().invoke(replay, arguments, env={"DUYET_DATA_DIR": str(place)}, input=typed)


def told(desk: Desk, *arguments: str, typed: str | None = None) -> dict[str, object]:
    result = called(desk, *arguments, "--json", typed=typed)
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_what_judged_then_says_the_same_again(desk: Desk) -> None:
    sent = [
        SENT,
        replace(SENT, content=" ".join(f"https://x{n}.example/" for n in range(9))),
        replace(SENT, content="Hay\u200b\u200b\u200b quá \u202eđó"),
        replace(SENT, form=FormFacts(honeypot="x", seconds_to_fill=0.5)),
        replace(SENT, content="<script>alert(1)</script>"),
    ]
    for one in sent:
        desk.check(3, one)
    first = desk.check(1)[0]
    desk.store.decide(None, first.id, reject(desk.clock()))
    desk.clock.advance(seconds=3)
    desk.check(4)

    found = again(desk)

    assert found.judged == found.looked_at == 20
    assert {kind.before for kind in found.counts} == {ACCEPT, QUEUE}
    assert found.total == 0


def test_history_is_that_of_then_whatever_was_decided_since(desk: Desk) -> None:
    ids = [desk.check()[0].id for _ in range(4)]
    for comment_id in ids:
        desk.store.decide(None, comment_id, reject(desk.clock()))

    assert again(desk).total == 0


def test_flips_come_in_the_order_of_what_people_said(desk: Desk) -> None:
    version = desk.challenged(bias=1.0)
    kept = desk.check(6)
    desk.store.decide(None, kept[0].id, accept(desk.clock()))
    desk.store.decide(None, kept[1].id, reject(desk.clock()))
    desk.clock.advance(hours=1)

    found = again(desk, version)

    assert found.changed == [
        (Kind(ACCEPT, ACCEPT, QUEUE), 1),
        (Kind(REJECT, ACCEPT, QUEUE), 1),
        (Kind(None, ACCEPT, QUEUE), 4),
    ]
    assert [flip.id for flip in found.flips[:2]] == [kept[0].id, kept[1].id]
    assert (found.against(ACCEPT), found.against(REJECT)) == (1, 0)


def test_memory_is_bounded_and_pages_and_parts_make_no_difference(desk: Desk) -> None:
    version = desk.challenged()
    for _ in range(3):
        desk.check(10)

    at_once = again(desk, version, most=4)
    paged = again(desk, version, most=4, page=7)
    days = [desk.clock() + timedelta(minutes=m) for m in (-99, -1, 0, 99)]
    setups = setups_of([desk.site], desk.registry.load(version))
    parts = [
        replayed(desk.store, Stretch.between(None, a, b), setups, most=4) for a, b in pairwise(days)
    ]

    assert len(at_once.flips) == 4
    assert paged == at_once
    assert together(parts, most=4) == at_once


def test_what_cannot_be_compared_is_left_out_and_counted(desk: Desk) -> None:
    desk.check(2)
    with desk.store.writes() as connection:
        connection.exec_driver_sql("UPDATE verdicts SET spam = NULL, toxicity = NULL")
    other, _ = desk.store.add_site("khác", POLICY)
    desk.site = other
    desk.check(3)
    setups = setups_of([], desk.registry.load(CHAMPION))

    found = replayed(desk.store, whole(desk), setups)

    assert (found.looked_at, found.judged) == (5, 0)
    assert (found.unscored, found.elsewhere) == (2, 3)


# ------------------------------------------------------------------ one comment


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return a_classifier()


def outcome(past: Past, classifier: Classifier, policy: Policy, lists: Lists | None = None) -> str:
    [found] = judged_again([(past, Setup(classifier, policy, lists))])
    return found.outcome.word


NEVER = Policy(thresholds=HeadThresholds(Thresholds(2, 2), Thresholds(2, 2)))


def past(*hits: RuleHit, content: str = "Hay quá", rejected: int = 0) -> Past:
    sent = Submission(content, Author("Lan"))
    return Past(
        sent, History(author_rejected=rejected), ACCEPT, "m-then", hits, address_domain="x.example"
    )


def hit(rule: str, effect: Outcome = QUEUE, *, trust: bool = False) -> RuleHit:
    return RuleHit(rule, effect, "", "content", trust)


@pytest.mark.parametrize(
    ("of_then", "policy", "becomes"),
    [
        (past(), NEVER, "accept"),
        (past(hit("memory.rejected_before", REJECT)), NEVER, "reject"),
        (
            past(hit("memory.rejected_before", REJECT)),
            replace(NEVER, learn_from_decisions=False),
            "accept",
        ),
        (past(hit("author.banned", REJECT)), NEVER, "reject"),
        (
            past(hit("author.banned", REJECT)),
            replace(NEVER, effects={"author.banned": QUEUE}),
            "queue",
        ),
        (past(hit("list.word")), NEVER, "queue"),
        (past(hit("links.too_many")), NEVER, "accept"),  # is looked for again
        (past(content="https://x.example " * 3), replace(NEVER, max_links=1), "queue"),
        (past(rejected=2), NEVER, "queue"),
        (past(hit("raid.new_author")), NEVER, "queue"),
    ],
)
def test_what_was_found_then_counts_where_it_cannot_be_looked_for_again(
    of_then: Past, policy: Policy, becomes: str, classifier: Classifier
) -> None:
    assert outcome(of_then, classifier, policy) == becomes


def test_other_lists_take_the_place_of_those_of_then(classifier: Classifier) -> None:
    lists = Lists([Entry(Of.WORD, "hay", Act.REJECT), Entry(Of.DOMAIN, "x.example", Act.QUEUE)])

    assert outcome(past(hit("list.word")), classifier, NEVER, Lists([])) == "accept"
    assert outcome(past(), classifier, NEVER, lists) == "reject"


def test_a_layer_counts_over_the_model_that_it_is_of_alone(classifier: Classifier) -> None:
    plain = past()
    mine = replace(plain, model=classifier.version, added=40.0)
    policy = Policy(thresholds=HeadThresholds(Thresholds(0.99, 1), Thresholds(2, 2)))

    found = judged_again([(one, Setup(classifier, policy)) for one in (plain, mine)])
    other = judged_again([(replace(mine, model="m-then"), Setup(classifier, policy))])[0]

    assert [one.outcome for one in found] == [ACCEPT, REJECT]
    assert (other.outcome, other.layerless) == (ACCEPT, True)
    assert not found[1].layerless


# ------------------------------------------------------------------ the command


def test_the_command_lists_flips_genuine_ones_first_and_changes_nothing(desk: Desk) -> None:
    desk.challenged(bias=1.0)
    kept = desk.check(3, replace(SENT, content="Gọi lan@thu.example nhé"))
    desk.store.decide(None, kept[1].id, accept(desk.clock()))
    before = (desk.registry.root.parent / "duyet.db").read_bytes()

    text = called(desk, "--model", CHALLENGER, "--since", "0").output
    body = told(desk, "--model", CHALLENGER, "--since", "0")

    lines = [line for line in text.splitlines() if line.startswith("  0")]
    assert [kept[1].id in line for line in lines] == [True, False, False]
    assert "lan@thu" not in text + json.dumps(body)
    assert body["flips"] == 3
    assert body["against_acceptances"] == 1
    assert (desk.registry.root.parent / "duyet.db").read_bytes() == before


def test_a_policy_and_lists_are_tried_without_a_model_of_their_own(desk: Desk) -> None:
    desk.check(2, replace(SENT, content="Vay tiền nhanh"))
    strict = '{"thresholds": {"spam": {"queue_at": 0, "reject_at": 0}, '
    strict += '"toxicity": {"queue_at": 2, "reject_at": 2}}}'

    thresholds = told(desk, "--policy", "-", "--since", "0", typed=strict)
    entry = '{"kind": "word", "act": "queue", "text": "vay tiền"}'
    lists = told(desk, "--lists", "-", "--since", "0", "--site", "bao", typed=entry)

    assert thresholds["kinds"] == [
        {"decided": None, "was": "accept", "would_be": "reject", "comments": 2}
    ]
    assert lists["kinds"] == [
        {"decided": None, "was": "accept", "would_be": "queue", "comments": 2}
    ]


def test_against_what_holds_now_is_another_question(desk: Desk) -> None:
    desk.check(2)
    challenger = desk.challenged(bias=1.0)
    desk.name(CHAMPION, challenger)

    assert told(desk, "--since", "0")["flips"] == 2
    assert told(desk, "--since", "0", "--against", "now")["flips"] == 0


def test_several_processes_come_to_the_same(desk: Desk) -> None:
    desk.challenged()
    desk.check(8)
    desk.clock.advance(hours=3)
    desk.check(4)

    one = told(desk, "--model", CHALLENGER, "--since", "0", "--most", "3")
    two = told(desk, "--model", CHALLENGER, "--since", "0", "--most", "3", "--jobs", "2")

    assert one | {"seconds": 0} == two | {"seconds": 0}
    assert two["flips"] == 12


@pytest.mark.parametrize(
    ("arguments", "typed", "says"),
    [
        (["--model", "nothing"], None, "no model"),
        (["--site", "nothing"], None, "there is no site of that name"),
        (["--policy", "-"], '{"audit_rate": 7}', "audit_rate must be"),
        (["--policy", "-"], "[1", "not JSON"),
        (["--lists", "-", "--site", "bao"], "{}\nqueue", "line 1"),
        (["--lists", "-"], "", "name it with --site"),
    ],
)
def test_what_cannot_be_tried_is_said_plainly(
    desk: Desk, arguments: list[str], typed: str | None, says: str
) -> None:
    result = called(desk, *arguments, typed=typed)

    assert result.exit_code != 0
    assert says in result.output
    assert "Traceback" not in result.output
