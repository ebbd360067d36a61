"""Attacks: ways to write the same thing so that a filter reads it otherwise and a person does not.

Each is a pure function of a text and a generator of random numbers: the same seed gives the
same text in every process. Spammers use them on purpose; readers' keyboards, habits and
devices do much of it innocently, so that all of them are tried on ham as well. None raises on
any text, and each takes time linear in its length. What a reader must be able to follow, a
link, stays as it is, except where hiding the link is the attack.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial
from random import Random

Attack = Callable[[str, Random], str]
"""From a text and random numbers to the text as disguised. Changes nothing where it has no hold."""

Rewrite = Callable[[str], str]


def is_vietnamese(text: str) -> bool:
    """Whether it has letters or marks of Vietnamese alone, or several of its words without them."""
    plain = len(_PLAIN_WORDS.findall(text))
    return plain >= 2 or any(
        _MARKS_OF_VIETNAMESE.intersection(_decomposed(letter)) for letter in set(text)
    )


# Breve, horn, hook above and dot below, beside đ: French and Portuguese have none of them.
# Romanian has the breve; what is done to it by mistake is harmless.
_MARKS_OF_VIETNAMESE = frozenset("\u0306\u031b\u0309\u0323đĐ")


_PLAIN_WORDS = re.compile(
    r"\b(?:khong|duoc|nguoi|nhung|nhieu|minh|trong|toan|chung|tien|cua|ngay|nhanh|bang|voi|cho)\b",
    re.I,
)


# ------------------------------------------------------------------ letters for letters


def _table(plain: str, *disguised: str) -> dict[str, tuple[str, ...]]:
    """Which characters stand for each plain one, one of each row."""
    rows = zip(plain, *disguised, strict=True)
    return {letter: tuple(o for o in others if o != letter) for letter, *others in rows}


def _shifted(first: int, plain: str, holes: Mapping[int, str] | None = None) -> str:
    """As many characters from `first` on as there are plain ones, but for some told otherwise."""
    found = {first + at: chr(first + at) for at in range(len(plain))} | dict(holes or {})
    return "".join(found.values())


_SMALL = "abcdefghijklmnopqrstuvwxyz"
_CAPITAL = _SMALL.upper()
_LETTERS = _CAPITAL + _SMALL
_DIGITS = "0123456789"

_LOOK_ALIKES = {
    **_table("aceijopsxy", "асеіјорѕху"),
    **_table("ABCEHIJKMOPSTXY", "АВСЕНІЈКМОРЅТХУ", "ΑΒϹΕΗΙJΚΜΟΡSΤΧΥ"),
    **_table("ovu", "οѵυ"),
}
_LOOK_ALIKES["o"] = ("о", "ο")

_FULLWIDTH = _table("".join(map(chr, range(0x21, 0x7F))), "".join(map(chr, range(0xFF01, 0xFF5F))))

# Unicode's alphabets one after another, capitals first. The holes are letters that it had
# before: script, italic and double-struck ones used as symbols.
_ALPHABETS = tuple(
    _table(_LETTERS + (_DIGITS if digits else ""), _shifted(at, _LETTERS, holes) + digits)
    for at, digits, holes in (
        (0x1D400, _shifted(0x1D7CE, _DIGITS), {}),
        (0x1D434, "", {0x1D455: "ℎ"}),
        (0x1D468, "", {}),
        (0x1D4D0, "", {}),
        (0x1D56C, "", {}),
        (0x1D5A0, _shifted(0x1D7E2, _DIGITS), {}),
        (0x1D5D4, _shifted(0x1D7EC, _DIGITS), {}),
        (0x1D670, _shifted(0x1D7F6, _DIGITS), {}),
    )
)

_ENCLOSED = (
    _table(_LETTERS, _shifted(0x24B6, _LETTERS)),
    _table(_LETTERS, _shifted(0x1F130, _CAPITAL) * 2),
    _table(_LETTERS, _shifted(0x1F150, _CAPITAL) * 2),
    _table(_LETTERS, _shifted(0x1F170, _CAPITAL) * 2),
)

_LEET = {
    **_table("aegiost", "4361057", "@391057", "43!10$7"),
    **_table("AEGIOSTB", "43610578", "@3910578", "43!10$78"),
}


def look_alikes(text: str, random: Random) -> str:
    """Most letters that have a Cyrillic or Greek twin become it."""
    return _on_words(text, partial(_replaced, table=_LOOK_ALIKES, share=0.8, random=random))


def fullwidth(text: str, random: Random) -> str:
    """ASCII in the wide forms that East Asian keyboards type."""
    return _on_words(text, partial(_replaced, table=_FULLWIDTH, share=1.0, random=random))


def mathematical(text: str, random: Random) -> str:
    """Letters and digits of one of the mathematical alphabets: bold, script, sans-serif, …."""
    table = random.choice(_ALPHABETS)
    return _on_words(text, partial(_replaced, table=table, share=1.0, random=random))


def enclosed(text: str, random: Random) -> str:
    """Letters in circles or squares, outlined or filled."""
    table = random.choice(_ENCLOSED)
    return _on_words(text, partial(_replaced, table=table, share=1.0, random=random))


def leet(text: str, random: Random) -> str:
    """Many letters become digits and signs of their shape: c4s1n0."""

    def shaped(letter: str) -> str:
        # Letters with marks stay: nobody who types 4 for a types it with a hat.
        return random.choice(_LEET[letter]) if random.random() < 0.6 else letter

    return _on_words(text, lambda word: "".join(shaped(c) if c in _LEET else c for c in word))


def _replaced(
    word: str, *, table: Mapping[str, tuple[str, ...]], share: float, random: Random
) -> str:
    """The word with about that share of its characters replaced, marks above and below kept."""

    def replaced(character: str) -> str:
        apart = _decomposed(character)
        base, marks = apart[0], apart[1:]
        if base not in table or random.random() >= share:
            return character
        return random.choice(table[base]) + marks

    return "".join(map(replaced, word))


# ------------------------------------------------------------------ inside words


_INVISIBLE = "\u200b\u200c\u200d\u2060\u2063\u00ad\u034f\ufeff"


def invisible(text: str, random: Random) -> str:
    """Characters that show nothing inside words: joiners, soft hyphens, blanks of no width."""

    def hidden(word: str) -> str:
        return "".join(
            random.choice(_INVISIBLE) + letter if at and random.random() < 0.4 else letter
            for at, letter in enumerate(word)
        )

    return _on_words(text, hidden)


def spaced_out(text: str, random: Random) -> str:
    """Most words as s i n g l e  letters."""
    return _on_words(
        text, lambda token: _WORD.sub(lambda found: _parted(found[0], " ", random), token)
    )


def dotted(text: str, random: Random) -> str:
    """Most words with one sign between their letters: v.a.y, c-a-s-i-n-o."""
    sign = random.choice(".-_*·")
    return _on_words(
        text, lambda token: _WORD.sub(lambda found: _parted(found[0], sign, random), token)
    )


def _parted(word: str, sign: str, random: Random) -> str:
    if not word.isalpha() or len(word) < 3 or random.random() < 0.3:
        return word
    parted = sign.join(word)
    return f" {parted} " if sign == " " else parted


def repeated_letters(text: str, random: Random) -> str:
    """Some words are draaawn out, most often at their end: đẹppp quáaaa."""

    def drawn_out(word: str) -> str:
        if not word.isalpha() or random.random() < 0.5:
            return word
        at = len(word) - 1 if random.random() < 0.7 else random.randrange(len(word))
        return word[:at] + _plain(word[at]) * random.randint(2, 4) + word[at:]

    return _on_words(text, drawn_out)


def changed_case(text: str, random: Random) -> str:
    """All capitals, Every Word With One, or lEtTeRs of both at random."""
    style = random.choice((str.upper, str.title, _mixed_case(random)))
    return _on_words(text, style)


def _mixed_case(random: Random) -> Rewrite:
    return lambda word: "".join(c.upper() if random.random() < 0.5 else c.lower() for c in word)


# ------------------------------------------------------------------ marks and spelling


def diacritics_dropped(text: str, random: Random) -> str:
    """As typed without a Vietnamese keyboard: vay tien nhanh. Languages that need marks lose them.

    Links too: they hardly ever have any.
    """
    return "".join(map(_plain, text))


def decomposed(text: str, random: Random) -> str:
    """Letters and marks as characters of their own (NFD), as some devices send them."""
    # Character by character: normalising a run of marks takes time by the square of its length.
    return "".join(map(_decomposed, text))


def _decomposed(character: str) -> str:
    return unicodedata.normalize("NFD", character)


def _plain(character: str) -> str:
    if character in "đĐ":
        return "d" if character == "đ" else "D"
    return "".join(c for c in _decomposed(character) if unicodedata.category(c) != "Mn")


def teencode(text: str, random: Random) -> str:
    """Spelled as teenagers do: Vietnamese không → ko, được → đc, ph → f; English you → u."""
    words, endings = (
        (_TEENCODE_OF_ANY, _TEEN_SPELLINGS) if is_vietnamese(text) else (_TEXTING, _TEXT_SPELLINGS)
    )

    def spelled(word: str) -> str:
        lower = unicodedata.normalize("NFC", word.lower()) if len(word) <= 20 else word
        if lower in words:
            return random.choice(words[lower])
        for usual, short in endings:
            if random.random() < 0.8:
                word = word.replace(usual, short)
        return word

    return _on_words(text, lambda token: _WORD.sub(lambda found: spelled(found[0]), token))


_WORD = re.compile(r"\w+")

_TEENCODE: Mapping[str, tuple[str, ...]] = {
    "không": ("ko", "k", "hok", "khum"),
    "được": ("đc", "dc"),
    "gì": ("j",),
    "biết": ("bít", "bik"),
    "rồi": ("r", "rùi"),
    "với": ("vs", "zới"),
    "vậy": ("z", "zậy"),
    "người": ("ng", "ngừi"),
    "mình": ("mk", "mìn"),
    "bạn": ("b", "bn"),
    "tôi": ("t", "toy"),
    "cũng": ("cx", "cũg"),
    "nhưng": ("nhg", "nhưg"),
    "những": ("nh", "nhữg"),
    "trong": ("trog",),
    "thích": ("thik",),
    "yêu": ("iu",),
    "quá": ("wá",),
    "quan": ("wan",),
    "bây": ("bi",),
    "giờ": ("h",),
    "nhiều": ("nhìu",),
    "tiền": ("xiền", "tìn"),
    "điện": ("đt",),
    "nhắn": ("nt",),
    "liên": ("lh",),
    "anh": ("a",),
    "em": ("e",),
    "chị": ("c",),
    "làm": ("lm",),
    "đồng": ("đ",),
    "triệu": ("tr", "củ"),
    "nghìn": ("k",),
}

# The same words as typed without marks.
_TEENCODE_OF_ANY = {
    **{
        "".join(map(_plain, word)): tuple("".join(map(_plain, s)) for s in short)
        for word, short in _TEENCODE.items()
    },
    **_TEENCODE,
}

_TEEN_SPELLINGS = (("ph", "f"), ("Ph", "F"), ("qu", "w"), ("gi", "j"), ("v", "z"))

_TEXTING: Mapping[str, tuple[str, ...]] = {
    "you": ("u",),
    "your": ("ur",),
    "are": ("r",),
    "for": ("4",),
    "to": ("2",),
    "too": ("2",),
    "be": ("b",),
    "before": ("b4",),
    "great": ("gr8",),
    "please": ("pls", "plz"),
    "thanks": ("thx", "tnx"),
    "thank": ("thx",),
    "and": ("n", "&"),
    "because": ("cuz", "bc"),
    "people": ("ppl",),
    "message": ("msg",),
    "with": ("w/", "wiv"),
    "what": ("wat",),
    "this": ("dis",),
    "the": ("da", "teh"),
    "now": ("nw",),
    "money": ("\U0001f4b0", "moni"),
    "see": ("c",),
    "why": ("y",),
    "tomorrow": ("tmrw",),
    "today": ("2day",),
    "love": ("luv",),
    "my": ("ma",),
    "free": ("fr33",),
}

_TEXT_SPELLINGS = (("ing", "in"), ("ph", "f"), ("ck", "k"), ("ight", "ite"))


# ------------------------------------------------------------------ numbers and links


def emoji_digits(text: str, random: Random) -> str:
    """Digits as keycap emoji, 0️⃣9️⃣."""
    return _on_words(text, lambda word: _DIGIT.sub(lambda digit: f"{digit[0]}\ufe0f\u20e3", word))


_DIGIT = re.compile(r"[0-9]")


def split_phone(text: str, random: Random) -> str:
    """Phone numbers cut up with other signs, some noughts as letters: 0 9 1-23.4 5o."""

    def split(number: re.Match[str]) -> str:
        digits = [d for d in number[0] if d.isdigit()]
        signs = [random.choice(("", "", " ", ".", "-", " . ", "/")) for _ in digits[1:]]
        signs[random.randrange(len(signs))] = random.choice((" ", ".", " - "))
        written = [("o" if d == "0" and random.random() < 0.3 else d) for d in digits]
        return "".join(d + sign for d, sign in zip(written, [*signs, ""], strict=True))

    return _on_text(text, lambda part: _PHONE.sub(split, part))


_PHONE = re.compile(r"(?<!\d)\d(?:[ .-]?\d){7,13}(?!\d)")


def dot_com(text: str, random: Random) -> str:
    """Domains as people say them: shop dot com, shop chấm com, shop[.]com."""
    dots = (" dot ", "(dot)", "[.]", " . ", ",", "。")
    dot = random.choice((" chấm ", "(chấm)", " cham ", *dots) if is_vietnamese(text) else dots)

    def said(word: str) -> str:
        bare = re.sub(r"^https?://", "", word, count=1, flags=re.I)
        host, slash, path = bare.partition("/")
        return host.rstrip(".").replace(".", dot) + slash + path

    return "".join(
        said(token) if not _is_tag(token) and is_link(token) else token for token in _tokens(text)
    )


# ------------------------------------------------------------------ markup


def markup(text: str, random: Random) -> str:
    """Tags around words and empty ones inside them, which a browser does not show."""

    def marked(word: str) -> str:
        if len(word) < 3 or random.random() < 0.5:
            return word
        at = random.randrange(1, len(word))
        tag = random.choice(("b", "i", "em", "strong", "span", "u"))
        return random.choice(
            (
                f"<{tag}>{word}</{tag}>",
                f"{word[:at]}<{tag}></{tag}>{word[at:]}",
                f"{word[:at]}<!-- -->{word[at:]}",
                f"{word[:at]}<wbr>{word[at:]}",
            )
        )

    return _on_words(text, marked)


def entities(text: str, random: Random) -> str:
    """Most letters as character references, which a browser shows as the letters."""

    def referred(character: str) -> str:
        if random.random() >= 0.7 or not character.isalnum():
            return character
        code = ord(character)
        return random.choice((f"&#{code};", f"&#x{code:x};", f"&#{code:05};"))

    return _on_words(text, lambda word: "".join(map(referred, word)))


def run_together(text: str, random: Random) -> str:
    """Two or three words at a time WithoutBlanks between them."""
    parts = re.split(r"( +)", text)
    words = [*parts[::2], ""]
    written, run = [], random.randint(1, 2)
    for word, blank, after in zip(words, [*parts[1::2], ""], words[1:], strict=False):
        kept = _is_kept(word)
        joins = run > 0 and bool(blank) and not kept and not _is_kept(after)
        written.append(word if kept else word[:1].upper() + word[1:])
        written.append("" if joins else blank)
        run = run - 1 if joins else random.randint(1, 2)
    return "".join(written)


# ------------------------------------------------------------------ good words


def copied_article(text: str, random: Random) -> str:
    """Sentences as an article has them before and after it."""
    sentences = _ARTICLE_VI if is_vietnamese(text) else _ARTICLE_EN
    before, after = random.sample(sentences, 2)
    return f"{before} {text} {after}"


def padding(text: str, random: Random) -> str:
    """Long polite talk before and after it, in its language."""
    before, after = _polite(is_vietnamese(text), random)
    return f"{before} {text} {after}"


def padded_link(text: str, random: Random) -> str:
    """Long polite talk around the first link and the few words before it, the rest left out.

    A text without a link stays whole inside the talk.
    """
    before, after = _polite(is_vietnamese(text), random)
    words = text.split()
    at = next((i for i, word in enumerate(words) if is_link(word)), None)
    # A link inside a tag has blanks of its own; cutting it would leave half a tag.
    kept = text if at is None or "<" in text else " ".join(words[max(0, at - 5) : at + 1])
    return f"{before} {kept} {after}"


def _polite(vietnamese: bool, random: Random) -> tuple[str, str]:
    sentences = random.sample(_POLITE_VI if vietnamese else _POLITE_EN, 8)
    cut = random.randint(4, 6)
    return " ".join(sentences[:cut]), " ".join(sentences[cut:])


_ARTICLE_VI = (
    "Theo Sở Giao thông, tuyến đường dài bốn cây số sẽ được thông xe trước cuối quý ba năm nay.",
    "Mực nước trên các sông trong vùng đang xuống chậm, nhiều hộ dân đã trở về dọn dẹp nhà cửa.",
    "Các bác sĩ khuyên người cao tuổi nên tập thể dục nhẹ vào buổi sáng và uống đủ nước.",
    "Trận đấu kết thúc với tỷ số hòa sau khi đội khách gỡ lại ở phút tám mươi bảy.",
    "Nhà trường cho biết học sinh sẽ trở lại lớp vào thứ hai tuần sau theo lịch mới.",
    "Giá cà phê tại Tây Nguyên tăng nhẹ trong tuần qua do nguồn cung giảm.",
)

_ARTICLE_EN = (
    "The council voted on Tuesday to repair the old bridge before the autumn floods.",
    "Researchers followed four hundred families over ten years and found a small effect.",
    "The second half brought more chances, but neither side found the net until late.",
    "Prices of bread and milk rose more slowly in the spring, the statistics office said.",
    "The museum will reopen next month with two new rooms and longer hours.",
    "Version three changes how settings are read, so check your scripts before you upgrade.",
)

_POLITE_VI = (
    "Cảm ơn tác giả đã viết một bài rất công phu và dễ hiểu.",
    "Tôi đọc báo này đã nhiều năm và thấy bài hôm nay thật sự bổ ích.",
    "Gia đình tôi cũng từng gặp chuyện tương tự nên rất thông cảm.",
    "Theo tôi, điều quan trọng nhất là mọi người cùng bình tĩnh lắng nghe nhau.",
    "Hy vọng cơ quan chức năng sẽ sớm có câu trả lời cho người dân.",
    "Ở quê tôi, các cụ vẫn hay nói rằng có kiên trì thì việc gì cũng xong.",
    "Đoạn thứ ba của bài làm tôi suy nghĩ mãi về cách dạy con.",
    "Chúc mọi người một tuần làm việc vui vẻ và nhiều sức khỏe.",
    "Mong tòa soạn có thêm nhiều bài như thế này để bạn đọc tham khảo.",
    "Tôi đồng ý với ý kiến của bạn ở trên, tuy có vài chỗ cần nói rõ hơn.",
)

_POLITE_EN = (
    "Thank you for taking the time to write this; it answered a question I have had for years.",
    "I read the whole article with my morning coffee and then sent it to my sister.",
    "The part about the early years was new to me, and the pictures are lovely.",
    "I do not agree with every point, but you explain your reasons fairly.",
    "We had the same trouble at home last winter and solved it in much the same way.",
    "My neighbour, who taught history for thirty years, says the dates are right.",
    "It would be good to hear more about how the children took the move.",
    "The comments here are friendlier than on most sites, and I have learned a lot from them.",
    "I look forward to the next part and hope you and your family are well.",
    "One small thing: the second figure seems to have lost its caption.",
)


# ------------------------------------------------------------------ the tables


ATTACKS: Mapping[str, Attack] = {
    attack.__name__: attack
    for attack in (
        look_alikes,
        fullwidth,
        mathematical,
        enclosed,
        invisible,
        spaced_out,
        dotted,
        leet,
        diacritics_dropped,
        decomposed,
        teencode,
        emoji_digits,
        split_phone,
        dot_com,
        markup,
        entities,
        run_together,
        repeated_letters,
        changed_case,
        copied_article,
        padding,
        padded_link,
    )
}
"""Each attack by its name."""

PADDINGS = frozenset({"copied_article", "padding", "padded_link"})
"""The attacks that add good words rather than disguise bad ones."""


def chained(*names: str) -> Attack:
    """The named attacks one after another. KeyError for a name that there is not."""
    attacks = [ATTACKS[name] for name in names]

    def attack(text: str, random: Random) -> str:
        for one in attacks:
            text = one(text, random)
        return text

    return attack


CHAINS: Mapping[str, Attack] = {
    " + ".join(names): chained(*names)
    for names in (
        ("look_alikes", "invisible"),
        ("diacritics_dropped", "teencode"),
        ("teencode", "diacritics_dropped", "repeated_letters"),
        ("leet", "dotted", "dot_com"),
        ("mathematical", "emoji_digits"),
        ("decomposed", "fullwidth", "invisible"),
        ("markup", "entities"),
        ("dot_com", "split_phone", "padding"),
        ("look_alikes", "changed_case", "copied_article"),
        ("run_together", "diacritics_dropped", "split_phone"),
    )
}
"""Attacks of two or three steps, by the names of the steps in order."""


# ------------------------------------------------------------------ what may be rewritten


def is_link(word: str) -> bool:
    """Whether a word without blanks holds a link or a domain of a common ending."""
    return "://" in word or word[:4].lower() == "www." or bool(_DOMAIN.search(word))


_DOMAIN = re.compile(
    r"[^\W_]\.(?:com|net|org|info|biz|vn|ru|cn|tk|xyz|top|club|shop|site|online|vip|bet|win|io|co"
    r"|me|ly|gl|cc|tv|us|uk|de|example)(?![^\W_])",
    re.I,
)

# Tags are read up to a length, so that no text of "<" alone takes time by its square.
_TOKENS = re.compile(r"<[^<>]{1,500}>|&#?\w{1,10};|[^\s<&]+|\s+|[<&]")


def _tokens(text: str) -> list[str]:
    """The text cut into tags, character references, words and blanks; together it is the text."""
    return _TOKENS.findall(text)


def _is_tag(token: str) -> bool:
    return len(token) > 1 and token[0] in "<&"


def _is_kept(token: str) -> bool:
    return _is_tag(token) or is_link(token)


def _on_words(text: str, rewrite: Rewrite) -> str:
    """The text with each word rewritten, but tags, references and links left as they are."""
    return "".join(
        token if token.isspace() or _is_kept(token) else rewrite(token) for token in _tokens(text)
    )


def _on_text(text: str, rewrite: Rewrite) -> str:
    """The text with each stretch between links and tags rewritten, blanks included."""
    written: list[str] = []
    stretch: list[str] = []
    for token in _tokens(text):
        if _is_kept(token):
            written += [rewrite("".join(stretch)), token]
            stretch = []
        else:
            stretch.append(token)
    return "".join([*written, rewrite("".join(stretch))])
