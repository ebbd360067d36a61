"""Signs of asking: whether a comment tells its readers to do something, and for whose sake.

Which words a campaign asks with ("check out", "nhắn zalo", "share") differs from one to the
next; that something is asked for where a sentence begins, and that it is the writer's own, does
not. Genuine comments ask too, so each is a sign and no rule.
"""

from model.glance import Asking, Lexicon

CHARACTERS = 4_000
"""Only so many characters are looked at: who asks, asks early or again."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_VERBS = _words(
    "add buy call check click come comment contact copy donate download earn follow get give go "
    "hear help join let like listen look make paste read reply search see share sign sub "
    "subscribe support tell text thumbs try type visit vote watch win "
    "alo bấm chơi dùng đặt gọi hãy ib inbox kéo lưu mua nhắn nhấn nhận tải thử tìm vào xem zalo"
)
_VERBS_OF_TWO = ("đăng ký", "đăng kí", "kết bạn", "liên hệ", "tham gia", "theo dõi", "truy cập")

# What comes before a request where no sentence begins: who is asked, or how.
_CALLS = _words(
    "also and bro could everybody everyone friends guy guys hello hey hi just must now people "
    "please pls plz should so then to u you "
    "ae anh cả cứ em hãy mau mn mng mọi người nhà nhớ thì"
)
_PLEASE = _words("please pls plz plzz")

# What a beggar has, and the words that say whose it is: before it in English, after in Vietnamese.
_OWNED = _words(
    "account album app band beat beats blog channel chanel cover covers facebook fb game instagram "
    "insta mixtape music page playlist profile rap raps shop site song songs store stuff track "
    "twitter video videos vid vids website kênh nhóm web group fanpage zalo bên tiệm xưởng"
)
_MINE_BEFORE = _words("my our")
_MINE_AFTER = _words("em mình tôi tớ chúng e m")


_OF = _words("của")  # between what is owned and whose it is


def _what_words_say() -> dict[str, int]:
    """A bit for each set that a word is in, and for each verb of two that it is the first or
    second word of, in the order of `model/glance.c`."""
    sets = (_VERBS, _CALLS, _PLEASE, _OWNED, _MINE_BEFORE, _MINE_AFTER, _OF)
    pairs = [verb.split() for verb in _VERBS_OF_TWO]
    said = [(word, 1 << bit) for bit, words in enumerate(sets) for word in words]
    said += [(first, 1 << 8 + pair) for pair, (first, _) in enumerate(pairs)]
    said += [(second, 1 << 20 + pair) for pair, (_, second) in enumerate(pairs)]
    found: dict[str, int] = {}
    for word, bit in said:
        found[word] = found.get(word, 0) | bit
    return found


ASKING = Asking(Lexicon(_what_words_say()), CHARACTERS)
"""All of it, for `model/glance.c`: where a sentence may begin, it looks for a verb, and around
what a beggar has, for whose it is."""

SIGNS = ("asks:0", "asks:1", "asks:2", "asks first", "asks for own", "asks please")
"""How often a comment asks, and how, in the order of `model/glance.c`."""
