"""The installation's keys: their files, and what they hide."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.keyring import (
    Keyring,
    KeyringError,
    UnreadableAddress,
    key_id_of,
    masked_ip,
    new_token,
    normal_address,
)
from tests.storage.cases import EMAIL

FILES = ["address-1.key", "match.key", "token.key"]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "var" / "secrets"


def test_keys_are_made_once_and_are_their_owners_alone(directory: Path) -> None:
    first = Keyring.open(directory)
    sealed = first.encrypt_address(EMAIL, site_id="s", comment_id="c")
    again = Keyring.open(directory)

    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert files == dict.fromkeys(FILES, 0o600)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert again.decrypt_address(sealed, site_id="s", comment_id="c") == EMAIL
    assert again.token_hash("t") == first.token_hash("t")


def test_every_key_is_another(directory: Path) -> None:
    Keyring.open(directory).add_address_key()

    keys = [path.read_bytes() for path in directory.iterdir()]

    assert len(set(keys)) == len(keys) == 4


def test_processes_that_start_together_share_their_keys(directory: Path) -> None:
    program = (
        "import sys, pathlib; from service.keyring import Keyring; sys.stdin.read();"
        "print(Keyring.open(pathlib.Path(sys.argv[1])).fingerprints())"
    )
    command = [sys.executable, "-c", program, str(directory)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in started:  # all have imported what they need and wait for this
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None

    told = {process.communicate()[0] for process in started}

    assert told == {f"{Keyring.open(directory).fingerprints()}\n"}
    assert sorted(path.name for path in directory.iterdir()) == FILES


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
@pytest.mark.parametrize("name", FILES)
def test_a_key_that_others_may_read_is_refused_by_name(
    directory: Path, name: str, mode: int
) -> None:
    Keyring.open(directory)
    (directory / name).chmod(mode)

    with pytest.raises(KeyringError, match=f"{name} may be read by others"):
        Keyring.open(directory)


@pytest.mark.parametrize(
    "content", [b"", b"duyet-key-1 ", b"duyet-key-1 " + b"g" * 64 + b"\n", b"\xff" * 2000]
)
@pytest.mark.parametrize("name", FILES)
def test_a_malformed_key_is_refused_by_name(directory: Path, name: str, content: bytes) -> None:
    Keyring.open(directory)
    (directory / name).write_bytes(content)

    with pytest.raises(KeyringError, match=f"{name} is not a key"):
        Keyring.open(directory)


def test_a_key_that_is_cut_short_is_refused(directory: Path) -> None:
    Keyring.open(directory)
    path = directory / "match.key"
    path.write_bytes(path.read_bytes()[:-3])

    with pytest.raises(KeyringError, match=r"match\.key is not a key"):
        Keyring.open(directory)


def test_a_directory_that_others_may_write_is_refused(directory: Path) -> None:
    Keyring.open(directory)
    directory.chmod(0o770)

    with pytest.raises(KeyringError, match="may be written by others"):
        Keyring.open(directory)


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    path.write_text("")

    with pytest.raises(KeyringError, match="a directory is needed"):
        Keyring.open(path)


def test_a_keyring_shows_no_key(directory: Path) -> None:
    keyring = Keyring.open(directory)
    keys = [path.read_text().split()[1] for path in directory.iterdir()]

    shown = f"{keyring!r} {keyring} {keyring.fingerprints()}"

    assert shown.startswith("Keyring(address keys 1)")
    assert not any(key in shown for key in keys)


# ------------------------------------------------------------------ addresses


def test_the_same_address_is_sealed_differently_each_time(directory: Path) -> None:
    keyring = Keyring.open(directory)

    sealed = {keyring.encrypt_address(EMAIL, site_id="s", comment_id="c") for _ in range(3)}

    assert len(sealed) == 3
    assert all(len(one) == len(EMAIL) + 33 for one in sealed)


@pytest.mark.parametrize(("site_id", "comment_id"), [("s", "d"), ("t", "c"), ("sc", "")])
def test_an_address_opens_only_where_it_was_sealed(
    directory: Path, site_id: str, comment_id: str
) -> None:
    keyring = Keyring.open(directory)
    sealed = keyring.encrypt_address(EMAIL, site_id="s", comment_id="c")

    with pytest.raises(UnreadableAddress) as refusal:
        keyring.decrypt_address(sealed, site_id=site_id, comment_id=comment_id)

    assert EMAIL not in repr(refusal.value)


@pytest.mark.parametrize("place", [0, 4, 6, 20, -1])
def test_a_changed_address_does_not_open(directory: Path, place: int) -> None:
    keyring = Keyring.open(directory)
    sealed = bytearray(keyring.encrypt_address(EMAIL, site_id="s", comment_id="c"))
    sealed[place] ^= 1

    with pytest.raises(UnreadableAddress):
        keyring.decrypt_address(bytes(sealed), site_id="s", comment_id="c")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01\0\0\0\x01" + b"x" * 12, b"plain text" * 9])
def test_what_is_no_sealed_address_does_not_open(directory: Path, sealed: bytes) -> None:
    keyring = Keyring.open(directory)

    with pytest.raises(UnreadableAddress):
        keyring.decrypt_address(sealed, site_id="s", comment_id="c")


def test_the_newest_key_seals_and_all_open(directory: Path) -> None:
    keyring = Keyring.open(directory)
    old = keyring.encrypt_address(EMAIL, site_id="s", comment_id="c")
    keyring.add_address_key()
    new = keyring.encrypt_address(EMAIL, site_id="s", comment_id="c")

    opened = [keyring.decrypt_address(s, site_id="s", comment_id="c") for s in (old, new)]

    assert (key_id_of(old), key_id_of(new)) == (1, 2)
    assert opened == [EMAIL, EMAIL]


def test_a_key_that_another_process_added_is_found(directory: Path) -> None:
    running = Keyring.open(directory)
    other = Keyring.open(directory)
    other.add_address_key()

    sealed = other.encrypt_address(EMAIL, site_id="s", comment_id="c")

    assert running.decrypt_address(sealed, site_id="s", comment_id="c") == EMAIL


def test_a_key_that_is_gone_is_named(directory: Path) -> None:
    keyring = Keyring.open(directory)
    sealed = keyring.encrypt_address(EMAIL, site_id="s", comment_id="c")
    keyring.add_address_key()
    (directory / "address-1.key").unlink()

    with pytest.raises(UnreadableAddress, match=r"address-1\.key is missing"):
        Keyring.open(directory).decrypt_address(sealed, site_id="s", comment_id="c")


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("An@Mail.Example", "an@mail.example"),
        (" an@mail.example\n", "an@mail.example"),
        ("an@bücher.example", "an@xn--bcher-kva.example"),
        ("nguyê\u0303n@mail.example", "nguyễn@mail.example"),
        ("STRASSE@mail.example", "straße@mail.example"),
    ],
)
def test_an_address_is_the_same_however_written(one: str, other: str) -> None:
    assert normal_address(one) == normal_address(other)


@pytest.mark.parametrize("other", ["a.n@mail.example", "an+x@mail.example", "an@mail.test"])
def test_an_address_that_may_be_anothers_is_another(other: str) -> None:
    assert normal_address("an@mail.example") != normal_address(other)


def test_names_differ_by_site_purpose_and_installation(tmp_path: Path) -> None:
    one, other = Keyring.open(tmp_path / "one"), Keyring.open(tmp_path / "other")

    names = [
        one.author_key("s", EMAIL),
        one.author_key("t", EMAIL),
        one.text_key("s", EMAIL),
        one.match_key("other", "s", EMAIL),
        other.author_key("s", EMAIL),
    ]

    assert len(set(names)) == len(names)
    assert all(len(name) == 32 for name in names)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("fe80::1%eth0", "fe80::1", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("0.0.0.7", "::7:0:0:0:0", False),
    ],
)
def test_an_ip_is_known_by_whom_it_was_given_to(
    directory: Path, one: str, other: str, same: bool
) -> None:
    keyring = Keyring.open(directory)

    assert (keyring.ip_key("s", one) == keyring.ip_key("s", other)) is same


@pytest.mark.parametrize(
    ("ip", "masked"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        (" 203.0.113.7 ", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("::ffff:203.0.113.7", "203.0.113.0/24"),
        ("::1", "::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", ""),
        ("unknown", ""),
        ("203.0.113.7:80", ""),
        ("1.2.3", ""),
        ("٢٠٣.0.113.7", ""),
        ("\0", ""),
    ],
)
def test_an_ip_is_cut(ip: str, masked: str) -> None:
    assert masked_ip(ip) == masked


def test_nothing_has_no_name(directory: Path) -> None:
    keyring = Keyring.open(directory)

    names = [keyring.author_key("s", " "), keyring.text_key("s", ""), keyring.ip_key("s", "x")]

    assert names == ["", "", ""]


@given(text=st.text())
@example(text="@")
@example(text="a@\ud800")
@example(text="a@" + "ü" * 300 + ".example")
@example(text="a@.ü.")
def test_any_text_has_a_normal_form_that_is_its_own(text: str) -> None:
    once = normal_address(text)

    assert normal_address(once) == once


def test_tokens_are_random_and_long() -> None:
    tokens = {new_token() for _ in range(100)}

    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {48}
