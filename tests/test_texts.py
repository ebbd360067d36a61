"""The synthetic comments keep their form: well-made lines, own texts, nobody's addresses."""

import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

TEXTS = Path(__file__).parent.parent / "training" / "texts"
AT_LEAST = {"vi_spam": 420, "vi_ham": 420, "en_spam": 150, "en_ham": 150}
SPAM_TOPICS_VI = {
    "gambling", "lottery", "loans", "fake_papers", "jobs", "praise", "seo_services", "adult",
    "remedies", "investment", "property", "shopping", "phishing", "fortune", "account_hacking",
    "group_invites", "pirated_software",
}  # fmt: skip
NEWS_TOPICS_VI = {
    "current_affairs", "fuel", "traffic", "education", "health", "sports", "entertainment",
    "technology", "law", "life", "business", "cars", "travel",
}  # fmt: skip
KEYS = [
    "id", "text", "label", "task", "lang", "source", "group", "author", "author_url",
    "email", "ip", "user_agent", "date", "split", "extra",
]  # fmt: skip

# RFC 2606 and RFC 6761: names that are nobody's.
RESERVED_HOST = re.compile(r"(?:^|\.)(?:example(?:\.(?:com|net|org))?|test|invalid)$", re.I)
URL_HOST = re.compile(r"https?://([^/?#\s\"'<>\[\]]+)", re.I)
# Endings that a domain written without a scheme would have. Method calls in code have others.
BARE_DOMAIN = re.compile(
    r"(?<![\w./@-])(?:[a-z0-9-]+\.)+"
    r"(?:com|net|org|vn|info|biz|xyz|top|vip|club|site|shop|tv|cc|io|co|me|us|uk|ru|cn"
    r"|example|test|invalid)\b",
    re.I,
)
EMAIL = re.compile(r"[\w.+-]+@((?:[\w-]+\.)+[\w-]+)")
# A handle that begins with a digit cannot be registered where handles are used.
HANDLE = re.compile(r"(?<![\w.+-])@([a-z][a-z0-9_]{4,}|[A-Za-z0-9_]*\d[A-Za-z0-9_]*)(?![\w.])")

SEPARATOR = r"[ .\-()]{0,2}"
VI_PHONE = re.compile(rf"(?<!\d)(?<!\d[.,])(?:\+?84|0)(?:{SEPARATOR}\d){{8,10}}(?!\d)")
EN_PHONE = re.compile(rf"(?<![\d/])(?:\+?\d{{1,2}} )?\(?\d{{3}}\)?{SEPARATOR}\d{{3}}-\d{{4}}(?!\d)")
UK_PHONE = re.compile(rf"\+44(?:{SEPARATOR}\d){{9,10}}(?!\d)")

Row = dict[str, Any]


@cache
def rows_of(name: str) -> tuple[Row, ...]:
    lines = (TEXTS / f"{name}.jsonl").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == "", "the last line ends with a line feed"
    return tuple(json.loads(line) for line in lines)


def all_rows() -> Iterator[Row]:
    for name in AT_LEAST:
        yield from rows_of(name)


def plain(text: str) -> str:
    """Letters and digits alone, so that spacing, case and dressing cannot hide a repeat."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if c.isalnum())


def pieces(text: str) -> frozenset[str]:
    letters = plain(text)
    return frozenset(letters[i : i + 5] for i in range(max(1, len(letters) - 4)))


def share(rows: tuple[Row, ...], holds: Callable[[Row], object]) -> float:
    return sum(bool(holds(row)) for row in rows) / len(rows)


@pytest.mark.parametrize("name", AT_LEAST)
def test_every_line_has_the_shape_of_labelled_comments(name: str) -> None:
    lang, label = name.split("_")

    rows = rows_of(name)

    for row in rows:
        assert list(row) == KEYS, row["id"]
        assert re.fullmatch(rf"syn-{lang}-\d{{4}}", row["id"])
        assert (row["label"], row["task"], row["lang"]) == (label, "spam", lang)
        assert row["source"] == f"synthetic_{lang}"
        assert row["text"] == row["text"].strip() != ""
        assert row["author"] is None or row["author"].strip()
        assert all(row[k] is None for k in ("email", "ip", "user_agent", "date", "split"))
        assert row["extra"]["synthetic"] is True
        assert re.fullmatch(r"[a-z_]+/[a-z_]+", row["group"])
        assert row["group"].split("/")[0] == row["extra"]["topic"]


@pytest.mark.parametrize(("name", "count"), AT_LEAST.items())
def test_there_are_enough_texts(name: str, count: int) -> None:
    assert len(rows_of(name)) >= count


def test_ids_are_unique() -> None:
    ids = Counter(row["id"] for row in all_rows())

    assert [i for i, n in ids.items() if n > 1] == []


def test_texts_are_unique_whatever_their_dress() -> None:
    seen: dict[str, list[str]] = defaultdict(list)
    for row in all_rows():
        seen[plain(row["text"]) or row["text"]].append(row["id"])

    assert [ids for ids in seen.values() if len(ids) > 1] == []


def test_no_two_texts_are_near_duplicates() -> None:
    shingled = [(row["id"], pieces(row["text"])) for row in all_rows()]

    near = [
        (a_id, b_id)
        for i, (a_id, a) in enumerate(shingled)
        for b_id, b in shingled[:i]
        # Sets of too different a size cannot be alike enough: skips most comparisons.
        if min(len(a), len(b)) >= 0.4 * max(len(a), len(b))
        and len(a & b) >= 0.4 * (len(a) + len(b) - len(a & b))
    ]

    assert near == []


@pytest.mark.parametrize("lang", ["vi", "en"])
def test_every_topic_has_both_labels(lang: str) -> None:
    spam = {row["extra"]["topic"] for row in rows_of(f"{lang}_spam")}
    ham = {row["extra"]["topic"] for row in rows_of(f"{lang}_ham")}

    assert spam == ham


def test_vietnamese_topics_are_covered() -> None:
    spam = Counter(row["extra"]["topic"] for row in rows_of("vi_spam"))
    ham = Counter(row["extra"]["topic"] for row in rows_of("vi_ham"))

    assert set(spam) == SPAM_TOPICS_VI | NEWS_TOPICS_VI
    assert {t: n for t in SPAM_TOPICS_VI if not 25 <= (n := spam[t]) <= 50} == {}
    assert {t: n for t in SPAM_TOPICS_VI if (n := ham[t]) < 12} == {}
    assert {t: n for t in NEWS_TOPICS_VI if (n := ham[t]) < 15} == {}


@pytest.mark.parametrize("lang", ["vi", "en"])
def test_two_fifths_of_genuine_comments_are_hard(lang: str) -> None:
    assert share(rows_of(f"{lang}_ham"), lambda row: row["extra"]["hard"]) >= 0.4


def test_groups_hold_one_label() -> None:
    labels = defaultdict(set)
    for row in all_rows():
        labels[row["lang"], row["group"]].add(row["label"])

    assert {group for group, found in labels.items() if len(found) > 1} == set()


def test_links_lead_to_reserved_names_alone() -> None:
    for row in all_rows():
        where = row["text"] + " " + (row["author"] or "")
        hosts = URL_HOST.findall(where) + URL_HOST.findall(row["author_url"] or "")
        hosts += [m.group() for m in BARE_DOMAIN.finditer(EMAIL.sub(" ", where))]

        foreign = [h for h in hosts if not RESERVED_HOST.search(h.rstrip(".,;:)"))]

        assert foreign == [], row["id"]


def test_author_urls_are_web_addresses() -> None:
    urls = [row["author_url"] for row in all_rows() if row["author_url"] is not None]

    assert urls != []
    assert [u for u in urls if not re.match(r"https?://[^\s]+$", u)] == []


def test_addresses_in_texts_are_reserved() -> None:
    found = [(row["id"], d) for row in all_rows() for d in EMAIL.findall(row["text"])]

    assert found != []
    assert [i for i, domain in found if not RESERVED_HOST.search(domain.rstrip("."))] == []


def test_handles_cannot_be_anybodys() -> None:
    found = [(row["id"], h) for row in all_rows() for h in HANDLE.findall(row["text"])]

    assert found != []
    assert [i for i, handle in found if not handle[0].isdigit()] == []


def test_phone_numbers_are_invented() -> None:
    for row in all_rows():
        text = unicodedata.normalize("NFKC", row["text"])
        kept = UK_PHONE.sub(" ", URL_HOST.sub(" ", text))
        british = ["".join(filter(str.isdigit, n)) for n in UK_PHONE.findall(text)]
        american = [re.sub(r"\D", "", n)[-7:] for n in EN_PHONE.findall(kept)]
        vietnamese = ["".join(filter(str.isdigit, n)) for n in VI_PHONE.findall(kept)]

        # Ofcom's numbers for drama, the American 555-01xx, and an unissued Vietnamese prefix.
        assert all(n.startswith("447700900") for n in british), row["id"]
        assert all(n.startswith("55501") for n in american), row["id"]
        assert all(n.startswith("0900000") for n in vietnamese), row["id"]


def carries_reserved_name(row: Row) -> bool:
    where = f"{row['text']} {row['author_url'] or ''}"
    return re.search(r"\bexample\b|\.test\b|\.invalid\b", where, re.I) is not None


def carries_phone(row: Row) -> bool:
    return any(p.search(row["text"]) for p in (VI_PHONE, EN_PHONE, UK_PHONE))


def bare_of_marks(row: Row) -> bool:
    return not any(map(unicodedata.combining, unicodedata.normalize("NFD", row["text"])))


def shouts(row: Row) -> bool:
    letters = [c for c in row["text"] if c.isalpha()]
    return len(letters) > 5 and sum(c.isupper() for c in letters) > 0.7 * len(letters)


@pytest.mark.parametrize("lang", ["vi", "en"])
@pytest.mark.parametrize(
    "trait",
    [
        carries_reserved_name,
        carries_phone,
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
def test_no_outer_trait_gives_the_label_away(lang: str, trait: Callable[[Row], object]) -> None:
    in_spam = share(rows_of(f"{lang}_spam"), trait)
    in_ham = share(rows_of(f"{lang}_ham"), trait)

    # A filter that knew this trait alone would be wrong about more than one such comment in five.
    assert 0.2 < in_ham / (in_spam + in_ham) < 0.8


def test_short_comments_are_genuine_ones_in_the_same_shape() -> None:
    rows = rows_of("short_ham")

    assert {tuple(row) for row in rows} == {tuple(KEYS)}
    assert {(row["label"], row["author_url"]) for row in rows} == {("ham", None)}
    assert len({row["text"] for row in rows}) == len({row["id"] for row in rows}) == len(rows)
    assert min(Counter(row["lang"] for row in rows).values()) >= 50
