"""Signs of asking: whether a comment tells its readers to do something, and for whose sake.

Which words a campaign asks with ("check out", "nhắn zalo", "share") differs from one to the
next; that something is asked for where a sentence begins, and that it is the writer's own, does
not. Genuine comments ask too, so each is a sign and no rule.
"""

import re
from collections.abc import Iterator, Sequence
from unicodedata import normalize

CHARACTERS = 4_000
"""Only so many characters are looked at: who asks, asks early or again."""


def asking_signs(text: str) -> Iterator[str]:
    """The signs of what a comment asks for, in English and Vietnamese."""
    words = _words_and_breaks(text[:CHARACTERS])
    said = set(words)
    asked = [] if said.isdisjoint(_STARTS) else _asked(words)
    yield _ASKS[min(len(asked), 2)]
    if asked and _asks_first(words, asked[0]):
        yield "asks first"
    if not said.isdisjoint(_OWNED) and any(
        _is_own(words, at) for at, word in enumerate(words) if word in _OWNED
    ):
        yield "asks for own"
    if not said.isdisjoint(_PLEASE):
        yield "asks please"


_ASKS = ("asks:0", "asks:1", "asks:2")


def _words_and_breaks(text: str) -> list[str]:
    """The words of a text in lower case, and what may end a sentence or begin a line."""
    if text.isascii():  # the same, at a third of the cost; any break is a stop
        return text.translate(_ASCII).replace(".", " . ").split()
    return _WORD.findall(normalize("NFC", text).lower())


_WORD = re.compile(r"\w+|[.!?,;:*>(\n-]")
_BREAKS = frozenset(".!?,;:*>(\n-")
_ASCII = {
    code: "." if chr(code) in _BREAKS else chr(code).lower() if _WORD.match(chr(code)) else " "
    for code in range(128)
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_VERBS = _words(
    "add buy call check click come comment contact copy donate download earn follow get give go "
    "hear help join let like listen look make paste read reply search see share sign sub "
    "subscribe support tell text thumbs try type visit vote watch win "
    "alo bấm chơi dùng đặt gọi hãy ib inbox kéo lưu mua nhắn nhấn nhận tải thử tìm vào xem zalo"
)
_VERBS_OF_TWO = frozenset(
    ("đăng ký", "đăng kí", "kết bạn", "liên hệ", "tham gia", "theo dõi", "truy cập")
)
_STARTS = _VERBS | {verb.partition(" ")[0] for verb in _VERBS_OF_TWO}

# What comes before a request where no sentence begins: who is asked, or how.
_CALLS = _words(
    "also and bro could everybody everyone friends guy guys hello hey hi just must now people "
    "please pls plz should so then to u you "
    "ae anh cả cứ em hãy mau mn mng mọi người nhà nhớ thì"
)
_PLEASE = _words("please pls plz plzz")
_OPENERS = _BREAKS | _CALLS

# What a beggar has, and the words that say whose it is: before it in English, after in Vietnamese.
_OWNED = _words(
    "account album app band beat beats blog channel chanel cover covers facebook fb game instagram "
    "insta mixtape music page playlist profile rap raps shop site song songs store stuff track "
    "twitter video videos vid vids website kênh nhóm web group fanpage zalo bên tiệm xưởng"
)
_MINE_BEFORE = _words("my our")
_MINE_AFTER = _words("em mình tôi tớ chúng e m")


def _asked(words: Sequence[str]) -> list[int]:
    """Where requests begin."""
    return [
        at
        for at, word in enumerate(words)
        if word in _STARTS
        and (at == 0 or words[at - 1] in _OPENERS)
        and (word in _VERBS or _of_two(words, at))
    ]


def _of_two(words: Sequence[str], at: int) -> bool:
    return " ".join(words[at : at + 2]) in _VERBS_OF_TWO


def _asks_first(words: Sequence[str], first: int) -> bool:
    """Whether all that comes before the first request is a call."""
    return _OPENERS.issuperset(words[:first])


def _is_own(words: Sequence[str], at: int) -> bool:
    after = words[at + 1 : at + 3]
    after = after[1:] if after[:1] == ["của"] else after[:1]
    return not _MINE_BEFORE.isdisjoint(words[max(at - 3, 0) : at]) or bool(_MINE_AFTER & {*after})
