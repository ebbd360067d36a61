import json
import os
import re
import shlex
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from email_validator import validate_email

from model.policy import Policy
from service.first_start import LINK_LIFETIME, SITE, CannotPrepare, prepare
from service.keyring import Keyring
from service.settings import Settings, load_settings
from service.storage import KeyringMismatch, Role, Store

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def now() -> datetime:
    return NOW


@pytest.fixture
def settings(tmp_path):
    return load_settings({"DUYET_DATA_DIR": str(tmp_path / "var")})


def opened(settings: Settings, *, later: timedelta = timedelta()) -> Store:
    keyring = Keyring(settings.secrets_dir)
    return Store.open(settings.sqlalchemy_url, keyring, now=lambda: NOW + later)


def command_in(told: str) -> list[str]:
    block = re.search(r"^  curl (?:.*\\\n)+.*$", told, re.MULTILINE)
    assert block is not None
    return shlex.split(block[0].replace("\\\n", " "))


def token_in(told: str) -> str:
    return told.partition("/sign-in?token=")[2].split()[0]


def key_in(told: str) -> str:
    return told.partition("Bearer ")[2].partition("'")[0]


def test_the_first_start_tells_a_key_that_works(settings):
    told = prepare(settings, now)

    store = opened(settings)
    site = store.site_of_key(key_in(told))
    assert (site.name, site.policy) == (SITE, Policy())
    assert [site.id] == [s.id for s in store.sites()]
    store.close()


def test_the_first_start_tells_a_link_that_signs_the_admin_in_once(settings):
    token = token_in(prepare(settings, now))

    store = opened(settings)
    session = store.use_sign_in_link(token)
    assert store.session(session).role is Role.ADMIN
    assert store.use_sign_in_link(token) is None
    store.close()


def test_the_link_ends_after_a_day(settings):
    token = token_in(prepare(settings, now))

    store = opened(settings, later=LINK_LIFETIME + timedelta(seconds=1))

    assert store.use_sign_in_link(token) is None
    store.close()


def test_the_comment_to_copy_passes_the_form(settings):
    command = command_in(prepare(settings, now))

    body = json.loads(command[command.index("-d") + 1])
    assert command[:1] + command[4:5] == ["curl", "http://127.0.0.1:8000/v1/comments"]
    assert {"content", "author", "permalink"} == body.keys()
    assert validate_email(body["author"]["email"], check_deliverability=False)


def test_a_shell_reads_the_block_as_one_command(settings, tmp_path):
    told = prepare(settings, now)
    block = re.search(r"^  curl (?:.*\\\n)+.*$", told, re.MULTILINE)[0]
    (tmp_path / "curl").write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    (tmp_path / "curl").chmod(0o755)

    ran = subprocess.run(
        ["/bin/sh", "-c", block], env={"PATH": str(tmp_path)}, capture_output=True, check=True
    )

    assert ran.stdout.decode().split("\0")[:-1] == command_in(told)[1:]


def test_later_starts_tell_nothing_and_change_nothing(settings):
    key = key_in(prepare(settings, now))

    again = prepare(settings, now)

    store = opened(settings)
    assert again is None
    assert len(store.sites()) == len(store.moderators()) == 1
    assert store.site_of_key(key) is not None
    store.close()


def test_an_installation_that_has_a_site_already_gets_no_other(settings):
    settings.data_dir.mkdir()
    store = Store.open(settings.sqlalchemy_url, Keyring.open(settings.secrets_dir))
    store.migrate()
    store.add_site("blog", Policy())

    assert prepare(settings, now) is None
    assert [site.name for site in store.sites()] == ["blog"]
    store.close()


def test_a_start_killed_before_it_had_a_site_is_begun_again(settings):
    settings.data_dir.mkdir()
    store = Store.open(settings.sqlalchemy_url, Keyring.open(settings.secrets_dir))
    store.migrate()
    store.add_moderator("admin", Role.ADMIN)

    told = prepare(settings, now)

    assert store.site_of_key(key_in(told)) is not None
    assert len(store.moderators()) == 1
    store.close()


def test_of_processes_that_start_at_once_one_tells(settings):
    program = (
        "import os; from datetime import UTC, datetime\n"
        "from service.first_start import prepare\n"
        "from service.settings import load_settings\n"
        "told = prepare(load_settings(os.environ), lambda: datetime.now(UTC))\n"
        "print('told' if told else 'silent')"
    )
    environ = os.environ | {"DUYET_DATA_DIR": str(settings.data_dir)}

    def start(_: int) -> str:
        command = [sys.executable, "-c", program]
        ran = subprocess.run(
            command, env=environ, cwd=ROOT, capture_output=True, text=True, check=True
        )
        return ran.stdout.strip()

    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(start, range(3)))

    store = opened(settings)
    assert sorted(said) == ["silent", "silent", "told"]
    assert len(store.sites()) == len(store.moderators()) == 1
    store.close()


def test_everything_is_for_its_owner_alone(settings):
    prepare(settings, now)

    secret = [settings.data_dir, settings.data_dir / "duyet.db", *settings.secrets_dir.iterdir()]
    assert [oct(stat.S_IMODE(p.stat().st_mode)) for p in secret if p.stat().st_mode & 0o077] == []


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    settings = load_settings({"DUYET_DATA_DIR": str(tmp_path / "file" / "var")})

    with pytest.raises(CannotPrepare, match="DUYET_DATA_DIR must name a directory"):
        prepare(settings, now)


def test_a_data_directory_that_cannot_be_written_is_named():
    # Nobody makes a directory there, root included.
    settings = load_settings({"DUYET_DATA_DIR": "/proc/duyet"})

    with pytest.raises(CannotPrepare, match=r"/proc/duyet cannot be written"):
        prepare(settings, now)


def test_keys_of_another_installation_are_refused(settings):
    prepare(settings, now)
    for key in settings.secrets_dir.iterdir():
        key.unlink()

    with pytest.raises(KeyringMismatch, match=r"match\.key"):
        prepare(settings, now)


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"DUYET_HOST": "0.0.0.0"}, "http://127.0.0.1:8000"),
        ({"DUYET_HOST": "::"}, "http://[::1]:8000"),
        ({"DUYET_HOST": "::1", "DUYET_PORT": "81"}, "http://[::1]:81"),
        ({"DUYET_PUBLIC_URL": "https://c.example/duyet/"}, "https://c.example/duyet"),
    ],
)
def test_what_is_told_can_be_reached(tmp_path, environ, url):
    settings = load_settings(environ | {"DUYET_DATA_DIR": str(tmp_path / "var")})

    told = prepare(settings, now)

    assert f"{url}/v1/comments" in command_in(told)
    assert f"  {url}/sign-in?token=" in told
