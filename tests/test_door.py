"""The simulation of the one door: exact where the answer is known, fitted to what made it."""

from random import Random

import pytest

from benchmarks.door import batches, door, fitted, needed, poisson, simulated
from service.admission import LARGEST_BATCH


def test_who_comes_alone_waits_for_nobody():
    assert door([0.0, 10.0, 20.0], lambda size: 0.5) == [0.5, 0.5, 0.5]


def test_who_comes_meanwhile_shares_the_next_batch():
    seconds = {1: 1.0, 3: 2.0}

    assert door([0.0, 0.25, 0.5, 1.0], seconds.__getitem__) == [1.0, 2.75, 2.5, 2.0]


def test_no_batch_is_larger_than_the_service_makes_it():
    sizes = []

    door([0.0] * (2 * LARGEST_BATCH + 1), lambda size: sizes.append(size) or 1.0)

    assert sizes == [LARGEST_BATCH, LARGEST_BATCH, 1]


def test_a_fit_finds_the_line_that_made_the_figures():
    first, each, together = 0.003, 0.0004, 40
    most = together / (first + (together - 1) * each)

    fit = fitted([first] * 5, most=most, together=together)

    assert fit.each == pytest.approx(each)
    assert fit.seconds(together, Random(1)) == pytest.approx(together / most)
    assert fit.flushes == pytest.approx(most / together)


def test_no_line_is_fitted_through_batches_of_one():
    with pytest.raises(ValueError, match="no two comments"):
        fitted([0.01], most=100, together=1.0)


def test_noise_never_makes_a_further_comment_take_less_than_nothing():
    assert fitted([0.9], most=1000, together=10).each == 0.0


def test_of_arrivals_at_random_as_many_come_as_were_asked_for():
    arrivals = poisson(200, 50, Random(3))

    assert arrivals == sorted(arrivals)
    assert len(arrivals) == pytest.approx(10_000, rel=0.05)


def test_latency_grows_with_load_and_is_one_batch_where_nobody_else_comes():
    fit = fitted([0.004] * 3, most=2000, together=50)

    calm, busy = (simulated(fit, rate, seconds=20, seed=1) for rate in (1, 1500))

    assert calm["p50"] == pytest.approx(4.0)
    assert calm["p50"] < busy["p50"] < busy["p99"]


def test_batches_are_read_off_the_metrics_and_missed_when_they_are_gone():
    told = "# TYPE x\nduyet_batch_size_sum 120.0\nduyet_batch_size_count 8\n"

    assert batches(told) == (120.0, 8.0)
    with pytest.raises(ValueError, match="no batch sizes"):
        batches("duyet_other 1\n")


def test_what_a_rate_needs_is_called_arithmetic_and_planned_at_a_third():
    fit = fitted([0.004] * 3, most=3000, together=50)

    said = "\n".join(needed(fit, 10_000))

    assert "by arithmetic: 10 processes at 1,000 each" in said
    assert "2,500 commits a second" in said
    assert "864 million rows a day" in said
