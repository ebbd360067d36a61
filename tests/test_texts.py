"""The synthetic comments keep their form: well-made lines, own texts, nobody's addresses."""

import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from training.recipes import RECIPES, TIERS

TEXTS = Path(__file__).parent.parent / "training" / "texts"
FILES = sorted(path.stem for path in TEXTS.glob("*.jsonl"))
SOURCES = ["synthetic_vi", "synthetic_en", "synthetic_other"]

# What a file may hold is said by the end of its name: the task, what is refused, what is kept.
CONTENTS = {
    "spam": ("spam", {"spam"}),
    "ham": ("spam", {"ham"}),
    "toxicity": ("toxicity", {"toxic", "clean"}),
}
KEPT = {"ham", "clean"}
KEYS = [
    "id", "text", "label", "task", "lang", "source", "group", "author", "author_url",
    "email", "ip", "user_agent", "date", "split", "extra",
]  # fmt: skip

ALIKE = 0.4
"""The share of pieces in common (Jaccard) from which on two texts count as one."""

# RFC 2606 and RFC 6761: names that are nobody's.
RESERVED_HOST = re.compile(r"(?:^|\.)(?:example(?:\.(?:com|net|org))?|test|invalid)$", re.I)
URL_HOST = re.compile(r"https?://([^/?#\s\"'<>\[\]]+)", re.I)
# Endings that a domain written without a scheme would have. Method calls in code have others.
BARE_DOMAIN = re.compile(
    r"(?<![\w./@-])(?:[a-z0-9-]+\.)+"
    r"(?:com|net|org|vn|info|biz|xyz|top|vip|club|site|shop|tv|cc|io|co|me|us|uk|ru|cn|tw|jp|kr"
    r"|de|fr|es|it|pt|br|mx|nl|se|pl|cz|hu|ro|gr|ua|tr|ir|in|th|id|my|ph|eu|example|test|invalid)\b",
    re.I,
)
EMAIL = re.compile(r"[\w.+-]+@((?:[\w-]+\.)+[\w-]+)")
# A handle that begins with a digit cannot be registered where handles are used.
HANDLE = re.compile(r"(?<![\w.+-])@([a-z][a-z0-9_]{4,}|[A-Za-z0-9_]*\d[A-Za-z0-9_]*)(?![\w.])")

SEPARATOR = r"[ .\-()]{0,2}"
# An unissued Vietnamese prefix, a hotline of zeros, Ofcom's numbers for drama, 555-01xx.
INVENTED_PHONE = re.compile(
    rf"(?<!\d)(?:{SEPARATOR.join('0900000')}(?:{SEPARATOR}\d){{3}}|1[89]00 0000"
    rf"|\+{SEPARATOR.join('447700900')}(?:{SEPARATOR}\d){{3}}"
    rf"|(?:(?:\+?1 )?\(?\d{{3}}\)?{SEPARATOR})?555-01\d\d)(?!\d)"
)
# Nine digits in a row, however spaced, a Vietnamese hotline, an American number without its area.
PHONE = re.compile(
    rf"\d(?:{SEPARATOR}\d){{8,}}"
    rf"|(?<!\d)(?:1[89]00{SEPARATOR}\d{{4}}|\d{{3}}-\d{{4}})(?!\d)"
)

Row = dict[str, Any]


@cache
def rows_of(name: str) -> tuple[Row, ...]:
    lines = (TEXTS / f"{name}.jsonl").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == "", "the last line ends with a line feed"
    return tuple(json.loads(line) for line in lines)


@cache
def all_rows() -> tuple[Row, ...]:
    return tuple(row for name in FILES for row in rows_of(name))


def plain(text: str) -> str:
    """Letters and digits alone, so that spacing, case and marks cannot hide a repeat."""
    decomposed = unicodedata.normalize("NFKD", text.casefold()).replace("đ", "d")
    return re.sub(r"[\W_]", "", decomposed) or text


def pieces(text: str) -> frozenset[str]:
    letters = plain(text)
    return frozenset(letters[i : i + 5] for i in range(max(1, len(letters) - 4)))


def written(row: Row) -> str:
    return f"{row['text']} {row['author'] or ''}"


def share(rows: Iterable[Row], holds: Callable[[Row], object]) -> float:
    found = [bool(holds(row)) for row in rows]
    return sum(found) / len(found)


@pytest.mark.parametrize("name", FILES)
def test_every_line_has_the_shape_of_labelled_comments(name: str) -> None:
    task, labels = CONTENTS[name.rpartition("_")[2]]

    for row in rows_of(name):
        lang, extra = row["lang"], row["extra"]
        assert list(row) == KEYS, row["id"]
        assert re.fullmatch(rf"syn-{lang}-\d{{4}}", row["id"])
        assert row["task"] == task, row["id"]
        assert row["label"] in labels, row["id"]
        assert row["source"] == f"synthetic_{lang if lang in ('vi', 'en') else 'other'}", row["id"]
        assert row["text"] == row["text"].strip() != "", row["id"]
        assert row["author"] is None or row["author"].strip(), row["id"]
        assert all(row[k] is None for k in ("email", "ip", "user_agent", "date", "split"))
        assert re.fullmatch(rf"{extra['topic']}/[a-z_]+", row["group"]), row["id"]
        assert extra["synthetic"] is True
        assert extra.keys() <= {"synthetic", "topic", "hard", "script"}, row["id"]
        assert "hard" not in extra or (row["label"] in KEPT and type(extra["hard"]) is bool)


@pytest.mark.parametrize("name", FILES)
def test_the_readme_counts_what_a_file_holds(name: str) -> None:
    kept = [row for row in rows_of(name) if row["label"] in KEPT]
    hard = sum(row["extra"].get("hard", False) for row in kept)

    counted = f"| `{name}.jsonl` | {len(rows_of(name)) - len(kept):,} | {len(kept):,} | {hard:,} |"

    assert counted in (TEXTS / "README.md").read_text(encoding="utf-8").splitlines()


def test_every_source_is_the_projects_own_and_tells_what_is_clean() -> None:
    assert {row["source"] for row in all_rows()} == set(SOURCES)
    assert {TIERS[source] for source in SOURCES} == {"own texts"}
    assert RECIPES["general"].published >= set(SOURCES)


def test_ids_are_unique() -> None:
    ids = Counter(row["id"] for row in all_rows())

    assert [i for i, n in ids.items() if n > 1] == []


def test_no_two_texts_are_alike_whatever_their_dress() -> None:
    shingled = [pieces(row["text"]) for row in all_rows()]
    holders: dict[str, list[int]] = defaultdict(list)

    alike = []
    for i, own in enumerate(shingled):
        # Texts with nothing in common never meet: each piece knows the earlier ones that have it.
        met = Counter(chain.from_iterable(holders[piece] for piece in own))
        alike += [
            (all_rows()[j]["id"], all_rows()[i]["id"])
            for j, common in met.items()
            if common >= ALIKE * (len(own) + len(shingled[j]) - common)
        ]
        for piece in own:
            holders[piece].append(i)

    assert alike == []


def test_every_topic_has_both_labels() -> None:
    labels = defaultdict(set)
    for row in all_rows():
        labels[row["source"], row["task"], row["extra"]["topic"]].add(row["label"])

    assert {topic for topic, found in labels.items() if len(found) < 2} == set()


def test_groups_hold_one_label() -> None:
    labels = defaultdict(set)
    for row in all_rows():
        labels[row["lang"], row["group"]].add(row["label"])

    assert {group for group, found in labels.items() if len(found) > 1} == set()


@pytest.mark.parametrize("source", SOURCES)
def test_two_fifths_of_genuine_comments_are_hard(source: str) -> None:
    ham = [row for row in all_rows() if (row["source"], row["label"]) == (source, "ham")]

    assert share(ham, lambda row: row["extra"]["hard"]) >= 0.4


def test_links_lead_to_reserved_names_alone() -> None:
    for row in all_rows():
        hosts = URL_HOST.findall(f"{written(row)} {row['author_url'] or ''}")
        hosts += [m.group() for m in BARE_DOMAIN.finditer(EMAIL.sub(" ", written(row)))]

        foreign = [h for h in hosts if not RESERVED_HOST.search(h.rstrip(".,;:)"))]

        assert foreign == [], row["id"]


def test_author_urls_are_web_addresses() -> None:
    urls = [row["author_url"] for row in all_rows() if row["author_url"] is not None]

    assert urls != []
    assert [u for u in urls if not re.fullmatch(r"https?://\S+", u)] == []


def test_addresses_are_reserved() -> None:
    found = [(row["id"], d) for row in all_rows() for d in EMAIL.findall(written(row))]

    assert found != []
    assert [i for i, domain in found if not RESERVED_HOST.search(domain.rstrip("."))] == []


def test_handles_cannot_be_anybodys() -> None:
    found = [(row["id"], h) for row in all_rows() for h in HANDLE.findall(written(row))]

    assert found != []
    assert [i for i, handle in found if not handle[0].isdigit()] == []


def test_phone_numbers_are_invented() -> None:
    found = 0
    for row in all_rows():
        text = URL_HOST.sub(" ", unicodedata.normalize("NFKC", written(row)))
        rest, invented = INVENTED_PHONE.subn(" ", text)
        found += invented

        assert PHONE.findall(rest) == [], row["id"]

    assert found > 0


def carries_reserved_name(row: Row) -> bool:
    where = f"{row['text']} {row['author_url'] or ''}"
    return re.search(r"\bexample\b|\.test\b|\.invalid\b", where, re.I) is not None


def bare_of_marks(row: Row) -> bool:
    return not any(map(unicodedata.combining, unicodedata.normalize("NFD", row["text"])))


def shouts(row: Row) -> bool:
    letters = [c for c in row["text"] if c.isalpha()]
    return len(letters) > 5 and sum(c.isupper() for c in letters) > 0.7 * len(letters)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "trait",
    [
        carries_reserved_name,
        lambda row: INVENTED_PHONE.search(row["text"]),
        shouts,
        lambda row: row["author"],
        lambda row: row["author_url"],
        lambda row: re.search("[\u2600-\u27bf\U0001f300-\U0001faff]", row["text"]),
        lambda row: len(row["text"]) > 200,
        lambda row: len(row["text"]) < 60,
        bare_of_marks,
    ],
    ids=["reserved_name", "phone", "capitals", "author", "author_url", "emoji", "long", "short",
         "no_diacritics"],
)  # fmt: skip
def test_no_outer_trait_gives_the_label_away(source: str, trait: Callable[[Row], object]) -> None:
    rows = [row for row in all_rows() if row["source"] == source]
    in_spam = share((row for row in rows if row["label"] == "spam"), trait)
    in_ham = share((row for row in rows if row["label"] == "ham"), trait)

    # A filter that knew this trait alone would be wrong about more than one such comment in five.
    assert 0.2 < in_ham / (in_spam + in_ham) < 0.8
