"""Words and domains of a site, found in comments: how they are read, and what it costs."""

import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.links import links_in
from model.lists import (
    LONGEST_ENTRY,
    MOST_FOUND,
    Act,
    Entry,
    EntryProblem,
    Found,
    Kind,
    Lists,
    Searched,
    Way,
    read_domain,
    read_word,
    way_of,
)
from tests.judging_cases import any_text


def words(*texts: str, act: Act = Act.QUEUE) -> Lists:
    return Lists([Entry(Kind.WORD, read_word(text), act) for text in texts])


def domains(*texts: str, act: Act = Act.REJECT, of_address: bool = False) -> Lists:
    return Lists([Entry(Kind.DOMAIN, read_domain(text, act), act, of_address) for text in texts])


def search(lists: Lists, content: str, **more: str) -> tuple[Found, ...]:
    return lists.found_in(
        Searched(
            content,
            more.get("name", ""),
            more.get("url", ""),
            links_in(content),
            more.get("address_domain", ""),
        )
    )


@pytest.mark.parametrize(
    ("entry", "content", "stands"),
    [
        ("ban", "Bán gấp", "Bán"),
        ("ban", "BẠN ơi", "BẠN"),
        ("ban", "một ba\u0301n nữa", "ba\u0301n"),
        ("ban", "b\u200ba\u200bn", "b\u200ba\u200bn"),
        ("ban", "b<b>á</b>n hàng", "b<b>á</b>n"),
        ("ban", "\u0432\u0430n", "\u0432\u0430n"),
        ("ban", "b\u0337a\u0337\u0334n\u0337!", "b\u0337a\u0337\u0334n\u0337"),
        ("bạn bè", "BẠN  bè", "BẠN  bè"),
        ("bạn", "ba\u0323n", "ba\u0323n"),
        ("đang", "ĐANG bán", "ĐANG"),
        ("dang", "đang bán", "đang"),
        ("vay tiền nhanh", "Vay tiền, nhanh!", "Vay tiền, nhanh"),
        ("casino*", "CASINO88 nhé", "CASINO88"),
        ("*bet", "vào kubet", "kubet"),
        ("c++", "học c++ hay", "c++"),
        ("$$$", "kiếm $$$ nào", "$$$"),
        ("🍆", "nhìn 🍆🏿 này", "🍆"),
        ("don't", "DON’T", "DON’T"),
        ("博彩", "网上博彩平台", "博彩"),
        ("กา", "นกกาบิน", "กา"),
        ("मोदी", "मोदी जी", "मोदी"),
        ("мой", "это МОЙ дом", "МОЙ"),
    ],
)
def test_a_word_is_found_as_it_reads(entry, content, stands):
    (found,) = search(words(entry), content)

    assert content[found.start : found.end] == stands


@pytest.mark.parametrize(
    ("entry", "content"),
    [
        ("ban", "bank, urban, ba n"),
        ("bạn", "ban bán"),
        ("bạn bè", "ban be"),
        ("đang", "dang"),
        ("c++", "c hay"),
        ("casino*", "mycasino"),
        ("*bet", "betting"),
        ("vay tiền nhanh", "vay tiền rất nhanh"),
        ("мой", "мои"),
        ("กา", "ก่า"),
        ("博彩", "博 物"),
    ],
)
def test_a_word_is_not_found_in_what_only_looks_like_it(entry, content):
    assert search(words(entry), content) == ()


def test_a_word_is_found_in_a_name_too():
    (found,) = search(words("casino"), "Hay quá", name="Casino Royal")

    assert (found.field, found.start, found.end) == ("author.name", 0, 6)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        ("\0", "empty"),
        ("\u202e\u200b", "empty"),
        ("#!,", "empty"),
        ("***", "star_inside"),
        ("a*b", "star_inside"),
        ("*ab*", "star_inside"),
        ("hai từ*", "star_inside"),
        ("博彩*", "star_inside"),
        ("ab*", "star_short"),
        ("x" * (LONGEST_ENTRY + 1), "too_long"),
        ("x" * 1_000_000, "too_long"),
        ("a " * 9, "too_many_words"),
        ("\ud800", "unreadable"),
    ],
)
def test_what_can_be_no_word_says_why(text, code):
    with pytest.raises(EntryProblem) as refused:
        read_word(text)

    assert refused.value.code == code


def test_how_a_word_is_looked_for_is_told():
    assert [way_of(w) for w in ("ban", "bạn", "đi", "博彩", "casino*")] == [
        Way.FOLDED,
        Way.EXACT,
        Way.EXACT,
        Way.ANYWHERE,
        Way.FOLDED,
    ]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://www.Example.com/x?y", "example.com"),
        ("*.bet88.com", "bet88.com"),
        (".xyz", "xyz"),
        ("bệnh.vn", "xn--bnh-4kz.vn"),
        ("192.0.2.7", "192.0.2.7"),
    ],
)
def test_a_domain_is_kept_as_its_host(text, kept):
    assert read_domain(text, Act.QUEUE) == kept


@pytest.mark.parametrize(
    ("text", "act", "code"),
    [
        ("xyz", Act.TRUST, "too_wide"),
        ("co.uk", Act.TRUST, "too_wide"),
        ("blogspot.com", Act.TRUST, "too_wide"),
        ("nosuchtld", Act.QUEUE, "not_a_domain"),
        ("lan@example.com", Act.QUEUE, "not_a_domain"),
        ("javascript:alert(1)", Act.QUEUE, "not_a_domain"),
        ("http://", Act.QUEUE, "not_a_domain"),
        ("two words", Act.QUEUE, "not_a_domain"),
    ],
)
def test_what_can_be_no_domain_says_why(text, act, code):
    with pytest.raises(EntryProblem) as refused:
        read_domain(text, act)

    assert refused.value.code == code


@pytest.mark.parametrize(
    ("content", "more"),
    [
        ("xem https://m.bet88.com/x", {}),
        ("xem bet88 (dot) com nhé", {}),
        ('<a href="http://BET88.com.">đây</a>', {}),
        ("hay", {"url": "http://bet88.com"}),
        ("hay", {"address_domain": "thu.bet88.com"}),
    ],
)
def test_a_domain_is_found_with_all_hosts_under_it(content, more):
    lists = domains("bet88.com", of_address=True)

    assert [f.entry.text for f in search(lists, content, **more)] == ["bet88.com"]


@pytest.mark.parametrize("content", ["notbet88.com", "bet88.com.vn", "bet88", "a@bet88.com"])
def test_a_domain_is_not_found_in_another_one(content):
    assert search(domains("bet88.com"), content) == ()


def test_an_address_is_looked_at_only_if_asked():
    assert search(domains("bet88.com"), "hay", address_domain="bet88.com") == ()


@pytest.mark.parametrize(
    ("content", "is_trusted"),
    [
        ("xem bao.vn", True),
        ("xem bao.vn và m.bao.vn", True),
        ("xem bao.vn và bet88.com", False),
        ("hay quá", False),
    ],
)
def test_trust_is_only_for_comments_whose_every_link_is_trusted(content, is_trusted):
    found = search(domains("bao.vn", act=Act.TRUST), content)

    assert bool(found) is is_trusted


def test_of_a_host_and_its_domain_the_host_s_own_entry_counts():
    lists = Lists(
        [
            Entry(Kind.DOMAIN, "bet88.com", Act.REJECT),
            Entry(Kind.DOMAIN, "news.bet88.com", Act.TRUST),
        ]
    )

    acts = [f.entry.act for f in search(lists, "xem http://news.bet88.com/x")]

    assert acts == [Act.TRUST]


def test_a_reject_is_told_however_many_queue():
    lists = Lists(
        [
            *(Entry(Kind.WORD, f"tu{n}", Act.QUEUE) for n in range(50)),
            Entry(Kind.WORD, "cuoi", Act.REJECT),
        ]
    )

    found = search(lists, " ".join(f"tu{n}" for n in range(50)) + " cuoi")

    assert [f.entry.act for f in found].count(Act.QUEUE) == MOST_FOUND
    assert [f.entry.text for f in found if f.entry.act is Act.REJECT] == ["cuoi"]


MIXED = words("ban", "bạn bè", "casino*", "*bet", "博彩", "กา", "đ", "c++", "🍆", "vay tiền")


@given(text=any_text)
@example("\ufdfa" * 50)
@example("a" + "\u0301" * 500)
@example("\ud800ban\0")
def test_any_text_is_searched_and_what_is_found_stands_where_it_says(text):
    for found in search(MIXED, text):
        assert 0 <= found.start < found.end <= len(text)


@given(
    word=st.text(st.characters(categories=["Ll", "Lu"]), min_size=1, max_size=12),
    before=st.sampled_from(["", "xin ", "(", "<b>", "«"]),
    after=st.sampled_from(["", " nhé", ")", "!", "…"]),
)
@example(word="αὙβ", before="", after="")
@example(word="\u1fb3", before="xin ", after="")
def test_a_word_finds_itself_among_others(word, before, after):
    try:
        kept = read_word(word)
    except EntryProblem:
        return

    found = search(words(kept), f"{before}{unicodedata.normalize('NFD', word)}{after}")

    assert found, (word, kept)


@pytest.mark.parametrize(
    ("kept", "text"),
    [
        ("κύπρος", "Η ΚΎΠΡΟΣ σήμερα"),
        ("κυπρος", "η Κύπρος, η ΚΥΠΡΟΣ"),
        ("ὑγίεια", "Ὑγίεια"),
        ("ΥΠΕΡ", "υπερ"),
    ],
)
def test_greek_is_found_in_capitals_and_in_small_letters(kept, text):
    assert search(words(read_word(kept)), text)


def _seconds(lists: Lists, text: str) -> float:
    searched = Searched(text, "", "", (), "")
    times = []
    for _ in range(3):
        began = time.process_time()
        lists.found_in(searched)
        times.append(time.process_time() - began)
    return min(times)


HOSTILE = {
    "same beginnings": (
        [f"{'mua ' * 7}{n}" for n in range(2000)] + ["mua"],
        "mua ",
    ),
    "one letter again": (["一" * k + "丁" for k in range(1, 90)] + ["一" * 99], "一"),
    "parts of all lengths": ([f"{'a' * k}*" for k in range(3, 90)], "a"),
    "marks": (["ban", "bạn"], "a\u0301\u0327"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_no_faster_than_the_text_whatever_the_entries_are(name):
    entries, unit = HOSTILE[name]
    lists = words(*entries)
    search(lists, unit)
    short, long = unit * (6_000 // len(unit)), unit * (48_000 // len(unit))

    # Eight times the text; its square would take 64 times as long.
    assert _seconds(lists, long) < 24 * _seconds(lists, short) + 0.02
