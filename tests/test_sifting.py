"""What sifting leaves out holds nothing; most of what holds nothing is left out."""

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from model.lists import Act, Entry, EntryProblem, Kind, Lists, Searched, read_word
from model.sifting import MOST_KEYS, sift_of

LETTERS = st.characters(exclude_categories=["Cs"]) | st.sampled_from(
    "aábcoıoеА<>&;#97 *\u0301\u200b①½ßæ"
)
WORDS = ("casino", "vay tiền", "giá", "*bet", "nước*", "c0", "nổ hũ ngay")


def entry(word: str) -> Entry:
    return Entry(Kind.WORD, read_word(word), Act.QUEUE)


def is_found(one: Entry, text: str) -> bool:
    return bool(Lists([one]).found_in(Searched(text, "", "", (), "")))


@given(
    word=st.text(LETTERS, min_size=1, max_size=6) | st.sampled_from(WORDS),
    around=st.lists(st.text(LETTERS, max_size=12), min_size=1, max_size=4),
    way=st.sampled_from(["NFC", "NFD", "NFKD"]),
)
@example(word="casino", around=["ca<b>si</b>n&#111;", "саsіnо"], way="NFC")
@example(word="nước*", around=["<p>NƯỚC</p>", "nươ\u0301c"], way="NFC")
@example(
    word="vay tiền", around=["VAY,\u200b -  tiền", "vay<br> &nbsp;tie\u0302\u0300n"], way="NFD"
)
@example(word="½", around=["1/2"], way="NFKD")
def test_nothing_is_left_out_in_which_a_word_stands(word: str, around: list[str], way: str) -> None:
    try:
        one = entry(word)
    except EntryProblem:
        return
    bare = unicodedata.normalize(way, word.strip("*"))  # type: ignore[arg-type]
    texts = [*around, *(f"{text}{bare}" for text in around), *(f"{bare} {t}" for t in around), bare]
    sift = sift_of([one])
    if sift is None:
        return

    holds = sift.holds(texts)

    missed = [t for t, may in zip(texts, holds, strict=True) if is_found(one, t) and not may]
    assert not missed


def test_what_holds_no_word_is_left_out_and_its_neighbours_are_not() -> None:
    sift = sift_of([entry(word) for word in WORDS])
    texts = ["Bài viết hay quá", "", "Vào casino nhé", "casinos, tiền", "alphabet", "bet on"]
    assert sift is not None

    assert sift.holds(texts) == [False, False, True, False, True, True]
    assert sift.holds(texts[:2] * 300_000)[-3:] == [False] * 3


def test_a_phrase_is_more_than_its_first_word() -> None:
    sift = sift_of([entry("vay tiền"), entry("nổ hũ")])
    texts = ["vay rồi", " , vay", " tiền ", "Vay - TIEN!", "no way", "no\n\n hu", "nó ", "hũ"]
    assert sift is not None

    assert sift.holds(texts) == [False, False, False, True, False, True, False, False]


def test_what_cannot_be_sifted_for_is_looked_at() -> None:
    domain = Entry(Kind.DOMAIN, "spam.example", Act.REJECT)
    assert sift_of([entry("casino"), domain]) is None
    assert sift_of([entry("赌场")]) is None
    assert sift_of([entry("🎰")]) is None
    assert sift_of([entry(f"casino{n}") for n in range(MOST_KEYS + 1)]) is None
    assert sift_of([]) is None
