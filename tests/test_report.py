import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from model.outcome import OFF, Head, HeadThresholds, Thresholds
from model.promise import ANY, RISKS, Kept, Promise
from tests.judging_cases import a_promise
from training.evaluation import Judged, JudgedRow, evaluate
from training.report import Measured, html_report, text_report, write_report

VOID = {"meta", "link", "br", "img"}


def measured(
    count: int = 400, *, head: Head = Head.SPAM, source: str = "blog", only: bool | None = None
) -> Measured:
    random = np.random.default_rng(3)
    at = Thresholds(queue_at=0.5, reject_at=0.9)
    rows = []
    for number in range(count):
        positive = bool(number % 3 == 0) if only is None else only
        score = float(np.clip(0.3 + 0.4 * positive + random.normal(0, 0.2), 0, 1))
        group, outcome = f"g{number % 40}", at.outcome(score)
        rows.append(JudgedRow(positive, score, outcome, "vi", source, group, read_as="vi"))
    judged, promise = Judged.of(rows), a_promise(HeadThresholds(at, at))
    return Measured(evaluate(judged, head=head, promise=promise, model="m1", policy="p1"), judged)


class Page(HTMLParser):
    """Notes what a page loads, its ids, and whether every element that opens also closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(text)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)


def test_the_page_stands_alone():
    text = html_report([measured(), measured(head=Head.TOXICITY)])

    page = Page(text)

    assert "script" not in page.tags
    assert [link for link in page.links if not link.startswith("#")] == []
    assert "http" not in re.sub(r'http-equiv="', "", text)
    assert "@import" not in text
    assert 'lang="en"' in text


def test_the_page_is_well_formed_with_each_id_once():
    page = Page(html_report([measured(), measured(head=Head.TOXICITY)]))

    assert (page.unbalanced, page.open) == ([], [])
    assert len(page.ids) == len(set(page.ids))
    assert [link for link in page.links if link[1:] not in page.ids] == []


def test_each_task_has_four_plots_in_the_page_colours():
    text = html_report([measured(), measured(head=Head.TOXICITY)])

    assert text.count("<svg role=") == 8
    assert "#0101" not in text
    assert "var(--positive)" in text


def test_names_from_files_are_text_and_not_markup():
    text = html_report([measured(source="<script>alert(1)</script>&")])

    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_the_same_figures_give_the_same_bytes(tmp_path):
    first = write_report(tmp_path / "a", [measured()])
    second = write_report(tmp_path / "b", [measured()])

    assert first.read_bytes() == second.read_bytes()
    assert (tmp_path / "a" / "report.json").read_bytes() == (
        tmp_path / "b" / "report.json"
    ).read_bytes()


def test_a_report_can_be_written_over_the_last_one(tmp_path):
    write_report(tmp_path, [measured(head=Head.TOXICITY)])

    write_report(tmp_path, [measured()])

    assert json.loads((tmp_path / "report.json").read_text())["tasks"].keys() == {"spam"}


@pytest.mark.parametrize(
    "odd",
    [measured(1), measured(5, only=True), measured(5, only=False), measured(0)],
    ids=["one row", "only positives", "only negatives", "no rows"],
)
def test_rows_that_tell_little_still_make_a_page_and_a_table(odd):
    page, table = html_report([odd]), text_report([odd.evaluation])

    assert page.count("<svg role=") == 4
    assert "nan" not in (page + table).lower()


def test_unscored_rows_are_named():
    judged = Judged.of([JudgedRow(True, None, Thresholds(0, 1).outcome(0.5))])
    evaluation = evaluate(judged, head=Head.SPAM, promise=Promise())

    page, table = html_report([Measured(evaluation, judged)]), text_report([evaluation])

    assert "1 could not be scored" in page
    assert "1 rows could not be scored" in table


def test_what_the_promise_comes_to_is_shown_by_language_and_risk():
    made = measured()

    page, table = html_report([made]), text_report([made.evaluation])

    spam, ham = made.judged.positive, ~made.judged.positive
    flagged = int((made.judged.score[ham] >= 0.9).sum())
    found = 100 * (made.judged.score[spam] >= 0.9).mean()
    (line,) = [x.split() for x in table.splitlines() if x.split()[:3] == ["vi", "rejected", "0.5"]]
    assert line[4:9] == ["–", "0.9000", str(flagged), "of", str(ham.sum())]
    assert line[-4:] == [f"{found:.1f}", "%", "of", str(spam.sum())]
    assert f"<td>{found:.1f} % of {spam.sum()}</td>" in page


def test_what_is_missing_for_a_promise_is_shown():
    few = Kept(200, 9, *((OFF,) * RISKS.index(0.015) + (0.5,) * (len(RISKS) - 12),) * 3)
    judged = measured().judged
    promise = Promise({ANY: a_promise().languages[ANY], "vi": few})

    evaluation = evaluate(judged, head=Head.SPAM, promise=promise)

    table = text_report([evaluation])
    assert re.search(r"vi +rejected +0\.5 % +398 +never +0 of 266", table)
    assert re.search(r"vi +flagged +1 % +99 +0\.6000", table)


def test_recall_at_few_false_positives_is_marked_where_ham_is_scarce():
    few, many = measured(200), measured(6000)

    assert text_report([few.evaluation]).count("too few to tell") == 2
    assert text_report([many.evaluation]).count("too few to tell") == 0


@pytest.mark.parametrize(
    "source", ["blog", "a-source-of-a-very-long-name-indeed", "line\nbreak\x1b[31m"]
)
def test_the_table_fits_a_hundred_columns_and_holds_no_control_characters(source):
    table = text_report([measured(30_000, source=source).evaluation])

    assert max(map(len, table.splitlines())) <= 100
    assert "\x1b" not in table
    assert "line�break" in table or "line" not in source
