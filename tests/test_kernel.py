import os
import pickle
import shlex
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model import kernel
from model.classifier import HEADS
from model.features import FIELDS, Fields, Occurrences, Spec, Texts, features, plan_for
from model.kernel import Laid
from model.letters import letters_of
from model.library import LIBRARY, opened
from tests.judging_cases import SENTENCE, SMALL, a_classifier, a_table

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [str(ROOT / "model" / name) for name in ("kernel.c", "glance.c")]
CC = shlex.split(os.environ.get("CC", "cc"))
ZIG = [sys.executable, "-m", "ziglang", "cc"]

# The strictest first. Without the sanitizer's library there is still the one that needs none.
SANITIZERS = (
    ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"),
    ("-fsanitize=undefined", "-fsanitize-trap=undefined"),
    (),
)


def built(command: list[str], flags: tuple[str, ...], target: Path) -> bool:
    """Whether the kernel could be compiled so."""
    flags = ("-std=c99", "-g", "-O1", "-fPIC", "-shared", "-ffp-contract=off", *flags)
    told = [*command, *flags, "-o", str(target), *SOURCES, "-lm"]
    try:
        return subprocess.run(told, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def preloaded(command: list[str], flags: tuple[str, ...]) -> dict[str, str]:
    """What a process needs in its environment to open a library compiled so."""
    if "address" not in "".join(flags):
        return {}
    asked = [*command, "-print-file-name=libasan.so"]
    library = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    return {
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
        "PYTHONMALLOC": "malloc",  # so that the text itself is watched, too
    }


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """An environment whose model has a library that ends the process at a wrong access."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "model").mkdir()
    for path in (ROOT / "model").iterdir():
        if path.name != LIBRARY.name:
            (folder / "model" / path.name).symlink_to(path)
    for command in (CC, ZIG):
        for flags in SANITIZERS:
            if not built(command, flags, folder / "model" / LIBRARY.name):
                continue
            path = {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
            environment = os.environ | preloaded(command, flags) | path
            if run_in(environment, "-c", "import model.kernel").returncode == 0:
                return environment
    raise AssertionError("there is no compiler")


def run_in(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=environment["PYTHONPATH"].partition(os.pathsep)[0],
        capture_output=True,
        text=True,
        check=False,
    )


def test_hostile_texts_lead_to_no_wrong_access(watched):
    done = run_in(watched, "-m", "tests.fuzz_kernel", "4000", "12")

    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == "read 4000 short submissions and 12 long ones\n"


# ------------------------------------------------------------------ what is asked for wrongly


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bits", 0),
        ("bits", 25),
        ("chars", (0,)),
        ("chars", (65,)),
        ("words", (-1,)),
        ("marked", (1 << 40,)),
    ],
)
def test_a_spec_that_would_lead_out_of_the_table_or_text_is_refused(name, value):
    with pytest.raises(ValueError, match="no such plan"):
        plan_for(replace(SMALL, **{name: value}))


@pytest.mark.parametrize("shape", [(2**11, 2), (2**13, 2), (2**12,), (2**12, 9)])
def test_a_table_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="no such plan: table"):
        plan_for(SMALL, table=np.zeros(shape, np.float32))


@pytest.mark.parametrize("changed", [{"part_letters": 0}, {"parts_apart": 0}, {"parts_apart": 256}])
def test_parts_that_would_lead_out_of_memory_are_refused(changed):
    with pytest.raises(ValueError, match="no such plan: parts"):
        replace(plan_for(SMALL), **changed)


@pytest.mark.parametrize("field", [-1, len(FIELDS) - 1])
def test_a_field_that_there_is_not_is_refused(field):
    with pytest.raises(ValueError, match="of a field that there is not"):
        kernel.weigh(plan_for(SMALL), Laid(["a"], [0], [field]))


@pytest.mark.parametrize(("place", "owner"), [(-1, 0), (2**12, 0), (0, -1), (0, 1)])
def test_a_sign_beyond_the_table_or_the_submissions_is_refused(place, owner):
    plan, laid = plan_for(SMALL, table=a_table()), Laid(["a"], [0], [0])
    odds = kernel.weigh(plan, laid).odds
    signs = kernel.array("q", [place]), kernel.array("q", [owner])

    with pytest.raises(ValueError, match="that there is not"):
        kernel.add_up(plan, laid, odds, signs, share=1.0, log_odds=np.zeros((1, len(HEADS))))


def test_a_table_that_is_not_laid_out_row_by_row_is_read_all_the_same():
    table = a_table()
    texts = [Texts("nạp tiền nhận thưởng")]

    turned = replace(a_classifier(), table=np.asfortranarray(table))

    assert turned.explain(texts) == a_classifier().explain(texts)


def test_a_missing_library_says_how_to_build_it(tmp_path):
    with pytest.raises(ImportError, match="make install"):
        opened(tmp_path / "libkernel.so")


# ------------------------------------------------------------------ parameters from Python


@pytest.mark.parametrize("letters", [10, 80, 100])
@pytest.mark.parametrize("apart", [1, 3, 255])
def test_parts_are_as_long_and_as_many_as_python_says(letters, apart):
    plan = replace(plan_for(SMALL), part_letters=letters, parts_apart=apart)

    found = kernel.letters(plan, Laid([SENTENCE * 30], [0], [0]))

    sizes = np.bincount(found["parts"])
    assert sizes.size == min(apart + 1, 30 if letters <= 92 else 15)
    assert sizes.min() >= letters


# ------------------------------------------------------------------ memory and threads


def test_what_a_huge_text_took_is_given_back():
    kernel.weigh(plan_for(SMALL), Fields.of([Texts("xin chào " * 100_000)]).laid, rows=True)

    kept = sum(array.nbytes for array in kernel._workspace.arrays.values())

    assert kept <= 4 * kernel._KEPT_BYTES


def test_rows_are_the_same_after_a_huge_text_and_before():
    texts = [Texts("xin chào các bạn"), Texts("a", "b", "c")]
    before = features(texts, SMALL)

    features([Texts("xin chào " * 100_000)], SMALL)

    after = features(texts, SMALL)
    assert all(np.array_equal(a, b) for a, b in zip(before.rows(), after.rows(), strict=True))


def test_what_was_found_is_not_changed_by_what_is_read_next():
    found = Occurrences.of([Texts("xin chào các bạn")], SMALL)
    letters = letters_of(["xin chào"], [False])
    kept = found.places.tolist(), letters.counts.tolist(), letters.plain.tolist()

    a_classifier().explained([Texts("something else " * 50, "b", "c")], rows=True)
    letters_of(["something else " * 50], [True])

    assert kept == (found.places.tolist(), letters.counts.tolist(), letters.plain.tolist())


def test_threads_that_read_at_once_read_what_each_would_alone():
    # Characters that were never met before, so that the tables grow while others read.
    batches = [
        [Texts("".join(chr(0x3300 + (at * 7 + n) % 0xD00) for at in range(200)), "x" * n)]
        for n in range(40)
    ]
    found: dict[int, list[object]] = {}
    start = threading.Barrier(4)

    def work(number: int) -> None:
        classifier = a_classifier()
        start.wait()
        found[number] = [classifier.explain(batch) for batch in batches]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    alone = [a_classifier().explain(batch) for batch in batches]
    assert [found[number] for number in range(4)] == [alone] * 4


def test_a_classifier_that_went_through_another_process_scores_alike():
    classifier = a_classifier(spec=replace(Spec(), bits=12, worst_part=0.5))
    texts = [Texts(SENTENCE * 3 + "nạp tiền")]

    copied = pickle.loads(pickle.dumps(classifier))

    assert copied.explain(texts) == classifier.explain(texts)


def test_nothing_to_read_is_read():
    assert a_classifier().explained([]) == []
    assert features([], SMALL).rows()[0].tolist() == [0]
    assert Occurrences.of([], SMALL).places.size == 0
