"""Letters and features once more, slowly and plainly, to compare what the model reads with.

Takes from the model what a single character reads as (`model.text`) and what markup hides
(`model.shown`), which have tests of their own; everything after that is done anew, and in Python
alone, where the model's is in C.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

from model import text as kinds
from model.features import KINDS, Spec
from model.letters import PART_LETTERS, PARTS_APART
from model.shown import shown
from model.text import composed

LEET = dict(zip("0134567@$!", "oieasgtasi", strict=True))


@dataclass(frozen=True)
class Character:
    """A character as it reads, and where it came from."""

    plain: str
    marked: str
    kinds: int
    place: int
    inside: bool = False
    begins_word: bool = False
    part: int = 0

    def has(self, kind: int) -> bool:
        return bool(self.kinds & kind)


BLANK = Character(" ", " ", kinds.BLANK, 0)


def characters_of(text: str) -> list[Character]:
    bare = shown(text)
    written = text if bare is None else bare.text
    whole, starts = composed(f"  {written}  ")
    origins = range(len(whole)) if starts is None else starts.tolist()
    found = []
    for character, origin in zip(whole, origins, strict=True):
        at = min(max(origin - 2, 0), max(len(written) - 1, 0))
        place = at if bare is None or not bare.text else int(bare.origin[at])
        found += [Character(*read_as, place) for read_as in reads_as(character)]
    return found


def reads_as(character: str) -> list[tuple[str, str, int]]:
    """What a character becomes, without and with marks, and the kinds of each."""
    plain, marked = kinds._plain_of[ord(character)], kinds._marked_of[ord(character)]
    if len(plain) == 1:
        return [(plain, marked, kinds._kinds_of(character, plain))]
    return [
        (p, m, 0 if p == character else kinds._kinds_of(p, kinds._plain_of[ord(p)]))
        for p, m in zip(plain, marked, strict=True)
    ]


def without_leet(characters: list[Character]) -> list[Character]:
    def belongs(at: int) -> bool:
        return characters[at].has(kinds.LETTER | kinds.DIGIT)

    def is_sign(at: int) -> bool:
        between = 0 < at < len(characters) - 1 and belongs(at - 1) and belongs(at + 1)
        return between and characters[at].has(kinds.SIGN)

    read_as = list(characters)
    at = 0
    while at < len(characters):
        end = at
        while end < len(characters) and (belongs(end) or is_sign(end)):
            end += 1
        read_as[at:end] = word_without_leet(characters[at:end])
        at = max(end, at + 1)
    return read_as


def word_without_leet(word: list[Character]) -> list[Character]:
    figures = [not c.has(kinds.LETTER) for c in word]
    begins_two = len(word) > 1 and all(c.has(kinds.DIGIT) for c in word[:2])
    is_leet = not all(figures) and not begins_two
    read_as = []
    for at, character in enumerate(word):
        runs = [figures[a : a + 3] for a in (at - 2, at - 1, at) if a >= 0]
        lone = figures[at] and [True, True, True] not in runs
        if lone and is_leet:
            letter = LEET.get(character.plain, "0")
            read_as.append(replace(character, plain=letter, marked=letter, inside=True))
        elif figures[at]:
            inside = character.has(kinds.DIGIT)
            read_as.append(replace(character, plain="0", marked="0", inside=inside))
        else:
            read_as.append(replace(character, inside=True))
    return read_as


def with_words(typed: list[Character], characters: list[Character]) -> list[Character]:
    """`typed` are the characters before leet was undone."""
    inside = [c.inside for c in characters]
    begins = [c and not before for before, c in pairwise([False, *inside])]
    single = [b and not after for b, after in zip(begins, [*inside[1:], False], strict=True)]
    capital = [c.has(kinds.UPPER) for c in characters]
    small = [c.has(kinds.LOWER) for c in characters]
    for at in range(3, len(characters) - 1):
        gaps = {typed[at - 3].plain, typed[at + 1].plain}
        if single[at] and single[at - 2] and typed[at - 1].plain in gaps:
            begins[at] = False
    for at in range(2, len(characters) - 1):
        if capital[at] and small[at - 1] and small[at - 2] and small[at + 1]:
            begins[at] = True
    return [replace(c, begins_word=b) for c, b in zip(characters, begins, strict=True)]


def letters_of(text: str, *, whole: bool) -> list[Character]:
    typed = characters_of(text)
    characters = with_words(typed, without_leet(typed))
    kept: list[Character] = []
    ends: list[int] = []  # how many letters stand before each end of a sentence or line
    for at, character in enumerate(characters):
        before = characters[at - 1] if at else BLANK
        is_blank = character.has(kinds.BLANK)
        if character.inside or (whole and not (is_blank and at and before.has(kinds.BLANK))):
            exempt = character.begins_word or not character.inside or character.plain == "0"
            if exempt or not kept or kept[-1].plain != character.plain:
                kept.append(character)
        after = characters[at + 1] if at + 1 < len(characters) else None
        ends_sentence = character.has(kinds.STOP) and after and after.has(kinds.BLANK)
        if character.has(kinds.LINE) or ends_sentence:
            ends.append(len(kept) - (not character.inside and whole and is_last(kept, character)))
    cuts = [0]
    for end in ends:
        enough = end - cuts[-1] >= PART_LETTERS and len(kept) - end >= PART_LETTERS
        if enough and len(cuts) <= PARTS_APART:
            cuts.append(end)
    return [replace(c, part=sum(cut <= at for cut in cuts) - 1) for at, c in enumerate(kept)]


def is_last(kept: list[Character], character: Character) -> bool:
    """Whether the character itself was the last one kept."""
    return bool(kept) and kept[-1] is character


# ------------------------------------------------------------------ places

M = 2**64
B = 0x9E3779B97F4A7C15


def mixed(h: int) -> int:
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9 % M
    h = (h ^ (h >> 27)) * 0x94D049BB133111EB % M
    return h ^ (h >> 31)


def salt(name: str) -> int:
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) % M
    return value


def place(value: int, bits: int) -> int:
    return mixed(value % M) >> (64 - bits)


def place_of_characters(gram: str, field: str, bits: int) -> int:
    value = 0
    for character in gram:
        value = (value * B + ord(character)) % M
    return place(value ^ ((salt(f"{field}/chars") + len(gram)) % M), bits)


def place_of_words(words: list[str], field: str, kind: str, bits: int) -> int:
    value = None
    for word in words:
        spoken = sum(ord(c) * pow(B, at, M) for at, c in enumerate(word)) % M
        value = spoken if value is None else (mixed(value) * B + spoken) % M
    assert value is not None
    return place(value ^ ((salt(f"{field}/{kind}") + len(words)) % M), bits)


Gram = tuple[str, int, int, int, int]
"""Kind, place in the table, first and last code point (exclusive), and part."""


def grams_of(text: str, field: str, spec: Spec) -> list[Gram]:
    """The n-grams of a text of a field, sorted."""
    letters = letters_of(text, whole=field != "content")
    found = [
        *character_grams(letters, field, spec),
        *word_grams(letters, field, "words", spec),
        *word_grams(letters, field, "marked", spec),
        *symbol_grams(text, letters, field, spec),
    ]
    return sorted(found)


def character_grams(letters: list[Character], field: str, spec: Spec) -> list[Gram]:
    found = []
    for n in range(1, max((*spec.chars, 2)) + 1):
        for at in range(len(letters) - n + 1):
            gram = letters[at : at + n]
            syllables = all(ord(c.plain) >= 0x2E80 for c in gram)
            text = "".join(c.plain for c in gram)
            # Those of one and two syllables stand apart from others of that length.
            times = (n in spec.chars) + (n <= 2 and syllables)
            where = place_of_characters(text, field, spec.bits)
            found += [("chars", where, gram[0].place, gram[-1].place + 1, gram[0].part)] * times
    return found


def word_grams(letters: list[Character], field: str, kind: str, spec: Spec) -> list[Gram]:
    words: list[list[Character]] = []
    for letter in letters:
        if letter.begins_word:
            words.append([])
        if words:
            words[-1].append(letter)
    assert KINDS[1:] == ("words", "marked")
    lengths = spec.words if kind == "words" else spec.marked
    found = []
    for n in lengths:
        for at in range(len(words) - n + 1):
            run = words[at : at + n]
            spelled = ["".join(spell(c, kind) for c in word).rstrip("\0") for word in run]
            last = [c for c in run[-1] if c.inside][-1]
            where = place_of_words(spelled, field, kind, spec.bits)
            found.append((kind, where, run[0][0].place, last.place + 1, run[0][0].part))
    return found


def spell(character: Character, kind: str) -> str:
    """What a word has there; what stands between the letters of one counts as a gap in it."""
    if not character.inside:
        return "\0"
    return character.plain if kind == "words" else character.marked


def symbol_grams(text: str, letters: list[Character], field: str, spec: Spec) -> list[Gram]:
    found = []
    for symbol in characters_of(text):
        if symbol.has(kinds.SYMBOL):
            before = [c.part for c in letters if c.place < symbol.place]
            value = ord(symbol.plain) ^ salt(f"{field}/symbols")
            where = place(value, spec.bits)
            part = before[-1] if before else 0
            found.append(("words", where, symbol.place, symbol.place + 1, part))
    return found
