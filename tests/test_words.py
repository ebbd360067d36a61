"""What the pages say in each language: nothing missing, nothing left over, nothing left in English.

What is not seen here, the words on the pages themselves, tests/browser/test_every_page.py
compares.
"""

import ast
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from string import Formatter

import pytest
from jinja2 import Environment, nodes

from service.web.texts import TEXTS

WEB = Path(str(files("service.web")))
TEMPLATES = sorted(WEB.joinpath("templates").glob("*.html"))
MODULES = sorted(WEB.glob("*.py"))
PARTS = {path.name for path in WEB.joinpath("languages").glob("*/*.json")}

Said = tuple[str, str, frozenset[str]]
"""Where, which sentence, and what it is given to fill in."""


def said_in_templates() -> Iterator[Said]:
    for path in TEMPLATES:
        for call in Environment().parse(path.read_text("utf-8")).find_all(nodes.Call):
            said = call.node
            if isinstance(said, nodes.Getattr) and said.attr == "marked":
                said = said.node
            is_ours = isinstance(said, nodes.Name) and said.name == "t"
            key = call.args[0] if is_ours and call.args else None
            if isinstance(key, nodes.Const):
                yield path.name, key.value, frozenset(word.key for word in call.kwargs)


def said_in_modules() -> Iterator[Said]:
    for path in MODULES:
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            said = call.func
            if isinstance(said, ast.Attribute) and said.attr == "marked":
                said = said.value
            is_ours = isinstance(said, ast.Name) and said.id in {"t", "texts"}
            key = call.args[0] if is_ours and call.args else None
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield path.name, key.value, frozenset(word.arg or "" for word in call.keywords)


SAID = [*said_in_templates(), *said_in_modules()]


def placeholders(sentence: str) -> set[str]:
    return {(name or "").partition(".")[0] for _, name, _, _ in Formatter().parse(sentence)} - {""}


@pytest.mark.parametrize("tag", sorted(TEXTS))
def test_every_sentence_that_is_said_is_there_and_gets_what_it_is_filled_with(tag: str) -> None:
    sentences = TEXTS[tag].sentences

    missing = [f"{where}: {key}" for where, key, _ in SAID if key not in sentences]
    unfilled = [
        f"{where}: {key} {placeholders(sentences[key]) - given}"
        for where, key, given in SAID
        if key in sentences and "" not in given and placeholders(sentences[key]) - given
    ]

    assert len(SAID) > 50
    assert (missing, unfilled) == ([], [])


def test_each_language_has_the_same_files_and_no_sentence_in_two_ways() -> None:
    for directory in (path for path in WEB.joinpath("languages").iterdir() if path.is_dir()):
        parts = {path.name: json.loads(path.read_text("utf-8")) for path in directory.iterdir()}
        said = {
            (key, text)
            for name, part in parts.items()
            if name != "language.json"
            for key, text in part.items()
        }
        ways = Counter(key for key, _ in said)

        assert set(parts) == PARTS
        assert {key for key, number in ways.items() if number > 1} == set()


# "to", "an", "in" and "a" are Vietnamese words as well.
ENGLISH = re.compile(
    r"\b(?:the|and|you|your|this|that|with|from|are|not|was|were|have|has|will|of|is|it|"
    r"comments?|queue|accept(?:ed)?|reject(?:ed)?|undo|moderators?|sites?|rules?|reasons?)\b",
    re.IGNORECASE,
)
SAME = {
    "JSON Lines",
    "pingback",
    "trackback",
    "Email",
    "IP",
    "CSV",
    "Spam",
    "spam",
    "URL",
    "TOTP",
    "JSON",
    "Esc",
    "Duyet",
    "p50",
    "p95",
}


def test_no_vietnamese_sentence_is_english() -> None:
    english, vietnamese = TEXTS["en"].sentences, TEXTS["vi"].sentences

    same = {
        key: text
        for key, text in vietnamese.items()
        if text == english.get(key) and re.search(r"[^\W\d_]{2}", re.sub(r"\{[^}]*\}", "", text))
    }
    left = {
        key: found[0]
        for key, text in vietnamese.items()
        if (found := ENGLISH.search(re.sub(r"<[^>]*>|\{[^}]*\}|`[^`]*`|duyet [\w-]+", "", text)))
    }

    assert {key: text for key, text in same.items() if text not in SAME} == {}
    assert left == {}


@pytest.mark.parametrize("tag", sorted(TEXTS))
def test_sentences_are_written_as_people_write_them(tag: str) -> None:
    sentences = TEXTS[tag].sentences

    untidy = {
        key: text
        for key, text in sentences.items()
        if text != unicodedata.normalize("NFC", text)
        or text != text.rstrip()
        or "  " in text.strip()
    }

    assert untidy == {}


COUNTED = re.compile(r"\b1 (?:more )?(?!is\b|was\b|has\b|as\b|signs\b)[a-z]+s\b")


def test_one_of_anything_is_said_as_one() -> None:
    """No sentence says "1 comments": whatever is counted has a word for one."""
    english = TEXTS["en"]
    said = {
        key: english(key, **dict.fromkeys(placeholders(sentence), 1))
        for key, sentence in english.sentences.items()
        if not re.search(r"\{\w+[.:][\w%]+}", sentence)  # a moment's, or digits
    }

    assert {key: text for key, text in said.items() if COUNTED.search(text)} == {}
    assert len(said) > 500
    assert english("act.done.accept", n="1") == "\u20681\u2069 comment accepted"
    assert english("act.done.accept", n=1001) == "1,001 comments accepted"


def test_numbers_are_written_as_the_language_has_them() -> None:
    english, vietnamese = TEXTS["en"], TEXTS["vi"]

    assert english("queue.waiting", n=1164) == "1,164 waiting"
    assert vietnamese("queue.waiting", n=1164) == "1.164 bình luận đang chờ"
    assert (english.number(1164.25, 1), vietnamese.number(1164.25, 1)) == ("1,164.2", "1.164,2")


def test_a_moment_in_a_sentence_stays_markup_and_a_name_does_not() -> None:
    moment = TEXTS["en"].moment(datetime(2026, 3, 1, 12, 1, tzinfo=UTC))

    said = TEXTS["en"].marked("act.by", who="<b>An</b>", when=moment)

    assert '<time datetime="2026-03-01T12:01:00+00:00">1 Mar 2026, 12:01 UTC</time>' in said
    assert "&lt;b&gt;An&lt;/b&gt;" in said
