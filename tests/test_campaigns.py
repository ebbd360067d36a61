"""Which comments are one campaign, and which never are."""

import random
from dataclasses import replace

import pytest

from model.campaigns import (
    LEAST_ALIKE,
    LEAST_SHARED,
    Group,
    Grouping,
    Look,
    Trait,
    look_of,
)
from model.facts import gather
from model.memory import COPIES
from model.submission import Author, Submission

SPAM = (
    "Mình vừa rút được 12 triệu sau ba ngày chơi ở đây, nạp rút nhanh gọn, hỗ trợ nhiệt tình, "
    "anh em nào cần thì nhắn mình chỉ cho cách vào nhé, khuyến mãi người mới rất cao"
)


def look(content: str, *, name: str = "An", url: str = "") -> Look:
    author = Author(name, "", url)
    return look_of(gather(Submission(content, author, permalink="https://bao.example/bai")))


def put_all(looks: list[Look]) -> tuple[Grouping, list[Group | None]]:
    grouping = Grouping()
    return grouping, [grouping.put(str(n), one) for n, one in enumerate(looks)]


@pytest.mark.parametrize(
    "content",
    [
        "Hay quá",
        "Cảm ơn bài viết!",
        "👍👍👍",
        "ok",
        "Cảm ơn tác giả rất nhiều ạ",
        "",
        "Great article, thanks",
    ],
)
def test_what_many_readers_write_is_never_a_campaign(content: str) -> None:
    _, found = put_all([look(content, name=f"Bạn đọc {'abcdefgh'[n % 8]}") for n in range(50)])

    assert set(found) == {None}


def test_nearly_the_same_words_are_one_from_the_third_on() -> None:
    words = SPAM.split()
    random.seed(7)
    looks = []
    for n in range(6):
        changed = [*words, f"#{n}"]
        changed[random.randrange(len(words))] = "thật"
        looks.append(look(" ".join(changed), name=f"Tên {'abcdef'[n]}"))

    _, found = put_all(looks)

    assert [one is not None for one in found] == [False] * (LEAST_ALIKE - 1) + [True] * 4
    assert found[-1] is not None
    assert (found[-1].trait, list(found[-1].ids)) == (Trait.TEXT, [str(n) for n in range(6)])


def test_disguised_letters_are_read_as_people_see_them() -> None:
    disguised = SPAM.replace("a", "а").replace("o", "о")  # Cyrillic

    _, found = put_all([look(SPAM), look(disguised), look(SPAM.replace(" ", "\u200b "))])

    assert found[-1] is not None


def test_other_words_with_the_same_link_are_one_by_its_domain() -> None:
    texts = ["Xem thêm ở", "Mọi người vào", "Rất bổ ích, ghé", "Tin hay tại", "Ủng hộ mình:"]
    looks = [
        look(f"{text} https://nhacai{n}.kiemtien.example/vao", name=f"Tên {'abcde'[n]}")
        for n, text in enumerate(texts)
    ]

    _, found = put_all(looks)

    assert [one is not None for one in found] == [False] * (LEAST_SHARED - 1) + [True]
    assert found[-1] is not None
    assert (found[-1].trait, found[-1].said) == (Trait.DOMAIN, "kiemtien.example")


def test_one_reader_who_links_to_a_page_often_is_no_campaign() -> None:
    looks = [look(f"Đoạn {n} nói rõ: https://sach.example/{n}", name="Lan") for n in range(9)]

    _, found = put_all(looks)

    assert set(found) == {None}


@pytest.mark.parametrize("host", ["www.youtube.com", "facebook.com", "bao.example"])
def test_where_readers_link_to_as_well_says_nothing(host: str) -> None:
    words = ["Xem", "Coi", "Ghé", "Đọc", "Nghe", "Thử"]
    looks = [look(f"{w} https://{host}/{w}", name=f"Tên {w}") for w in words]

    _, found = put_all(looks)

    assert set(found) == {None}


def test_names_after_one_pattern_are_one() -> None:
    words = ["Hay", "Được", "Ổn", "Tốt", "Khá"]
    looks = [look(w, name=f"vaytien{n}24h") for n, w in enumerate(words)]

    _, found = put_all(looks)

    assert found[-1] is not None
    assert (found[-1].trait, found[-1].said) == (Trait.NAME, "vaytien0h")


@pytest.mark.parametrize("name", ["n*****{n}", "minh{n}", "nguyen 19{n}", "Khách hàng {n}"])
def test_names_that_many_readers_have_say_nothing(name: str) -> None:
    words = ["Hay", "Được", "Ổn", "Tốt", "Khá", "Vừa"]
    looks = [look(w, name=name.format(n=70 + n)) for n, w in enumerate(words)]

    _, found = put_all(looks)

    assert set(found) == {None}


def test_where_three_known_readers_link_to_is_no_campaign() -> None:
    words = ["Xem", "Coi", "Ghé", "Đọc", "Nghe", "Thử"]
    looks = [look(f"{w} https://bep.example/{w}", name=f"Tên {w}") for w in words]
    grouping = Grouping()

    for one in looks[:3]:
        grouping.know(one)

    assert {grouping.put(one.author, one) for one in looks} == {None}


def test_one_known_reader_does_not_keep_a_link_from_being_a_campaign() -> None:
    words = ["Xem", "Coi", "Ghé", "Đọc", "Nghe", "Thử"]
    looks = [look(f"{w} https://vay.example/{w}", name=f"Tên {w}") for w in words]
    grouping = Grouping()

    for _ in range(3):
        grouping.know(looks[0])

    assert [grouping.put(one.author, one) for one in looks][-1] is not None


def test_what_does_not_wait_any_more_is_forgotten() -> None:
    grouping, _ = put_all([look(SPAM + f" {n}") for n in range(3)])

    grouping.forget(["0", "1", "2", "no such"])

    assert len(grouping) == 0
    assert grouping.put("3", look(SPAM)) is None


def test_what_is_marked_goes_on_as_that_campaign() -> None:
    grouping = Grouping()
    grouping.put("old", look(SPAM))
    grouping.mark("old", Trait.TEXT, "c-1")

    found = grouping.put("new", look(SPAM + " nhé"))

    assert found is not None
    assert found.campaign == "c-1"


def test_no_more_are_remembered_than_was_asked_for() -> None:
    grouping = Grouping(most=10)

    for n in range(1500):
        grouping.put(str(n), look(f"{SPAM} {n * 7919} {n}"))

    assert len(grouping) == 10
    assert grouping.put("one more", look(SPAM)) is not None


def test_of_a_flood_only_a_few_are_compared_with_what_comes() -> None:
    grouping, found = put_all([look(f"{SPAM} {n}", name=f"Tên {n}") for n in range(200)])

    assert found[-1] is not None
    assert len(found[-1].ids) == 200
    assert found[-1].shown == [str(n) for n in range(COPIES)]
    grouping.forget(found[-1].shown[:])
    assert found[-1].shown == [str(n) for n in range(COPIES, 2 * COPIES)]
    assert grouping.put("one more", look(SPAM)) is found[-1]


def test_who_leaves_the_index_of_texts_is_not_found_again() -> None:
    grouping, _ = put_all([look(f"{n * 7919} {SPAM[:: n % 5 + 2]} {n}") for n in range(1200)])
    kept = look(SPAM)
    grouping.put("kept", kept)

    grouping.forget([str(n) for n in range(1200)])

    assert list(grouping) == ["kept"]
    again = grouping.of_text("kept")
    assert again is not None
    grouping.put("twin", look(SPAM + " nhé"))
    assert grouping.of_text("twin") is again


def test_an_authors_address_is_not_looked_at() -> None:
    sent = Submission(SPAM, Author("An", "an@mail.example", ip="203.0.113.7"))

    assert look_of(gather(sent)).name == look_of(gather(replace(sent, author=Author("An")))).name
    assert "mail.example" not in repr(look_of(gather(sent)))
