"""The table of how far scores can be trusted: shares by hand."""

from benchmarks.reliability import table
from model.outcome import Outcome
from training.evaluation import JudgedRow


def rows(positive: bool, *scores: float) -> list[JudgedRow]:
    return [JudgedRow(positive=positive, score=score, outcome=Outcome.ACCEPT) for score in scores]


def test_a_decile_s_share_is_of_as_many_toxic_comments_as_clean_ones():
    judged = rows(True, 0.95, 1.0, 0.05, 0.05) + rows(False, 0.99, 0.0)

    lines = {line.split(" | ")[0]: line for line in table({("vi", "a"): judged}).splitlines()}

    assert lines["| score"] == "| score | vi a |"
    assert lines["| 0.9 to 1.0"].endswith("| 0.50 of 3 |")  # a half of each
    assert lines["| 0.0 to 0.1"].endswith("| 0.50 of 3 |")
    assert lines["| 0.5 to 0.6"].endswith("| – |")
