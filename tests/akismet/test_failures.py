"""Whatever goes wrong, no client is told anything that it would publish the comment on."""

from dataclasses import replace
from pathlib import Path

import pytest

from service.admission import Overloaded
from service.api.akismet.routes import CHECK
from service.app import build
from service.keyring import Keyring
from service.settings import load_settings
from service.spool import Spool
from service.storage import Store, StoreUnavailable
from tests.akismet.conftest import HOME, Client
from tests.api.service import running
from tests.serving import exchanged, served

GUID = "x-akismet-guid"


def holds(client: Client, agent: str = "WordPress/6.9 | Akismet/5.6", **fields: str) -> None:
    """That a check is answered as one that has no verdict."""
    body = {"user_ip": "::1", "comment_author": "Lan", "comment_content": "Chào."} | fields
    form = "&".join(f"{name}={value}" for name, value in body.items())
    answer = client.call(CHECK, f"api_key={client.key}&blog={HOME}&{form}", User_Agent=agent)
    said = b"held" if agent.startswith("WordPress/") else b"true"
    assert (answer.status_code, answer.content) == (200, said)
    assert answer.headers[GUID]
    assert ("x-akismet-error" in answer.headers) == (not agent.startswith("Discourse/"))
    assert "x-akismet-debug-help" not in answer.headers


@pytest.mark.parametrize("error", [Overloaded(3.0), StoreUnavailable("away"), RuntimeError("new")])
@pytest.mark.parametrize("agent", ["WordPress/6.9 | Akismet/5.6", "Discourse/3 | x", ""])
def test_no_error_publishes_a_comment(
    fresh: Client, monkeypatch: pytest.MonkeyPatch, error: Exception, agent: str
):
    def fails(*_: object, **__: object) -> None:
        raise error

    for door in ("begin_one", "check_one"):
        monkeypatch.setattr(f"service.moderation.Moderation.{door}", fails)
    holds(fresh, agent)
    holds(fresh, agent, recheck_reason="edit")  # which does not go straight
    assert fresh.service.stored() == 0


def test_a_site_over_its_rate_limit_is_held_and_told_when_to_come_back(tmp_path: Path):
    with running(tmp_path, DUYET_RATE_LIMIT="0.01") as service:
        client = Client(service, service.store.new_akismet_key(service.site.id))
        answers = [client.check(f"Bình luận {n}") for n in range(4)]

    assert answers[0].text == "false"
    last = answers[-1]
    assert (last.text, last.headers["x-akismet-error"]) == ("true", "unavailable")
    assert int(last.headers["retry-after"]) > 0


def test_too_large_a_form_is_held(fresh: Client):
    head = f"POST {CHECK} HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n"
    answer = exchanged(fresh.service.port, head.encode()).decode().lower()
    assert answer.startswith("http/1.1 200")
    assert f"{GUID}: " in answer
    assert answer.endswith("\r\n\r\ntrue")


def test_other_calls_get_a_line_of_text(fresh: Client, monkeypatch: pytest.MonkeyPatch):
    async def fails(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr("service.access.SiteKeys.akismet_site", fails)
    answer = fresh.form("/1.1/submit-spam")
    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["retry-after"]
    assert GUID not in answer.headers


def test_no_key_is_logged(fresh: Client, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG")
    fresh.call(CHECK, f"blog={HOME}&comment_content=a", Host=f"{fresh.key}.rest.akismet.com")
    assert fresh.key not in caplog.text


def test_a_known_key_is_queued_for_by_a_process_that_starts_with_the_store_away(tmp_path: Path):
    def away(*, is_away: bool) -> None:
        for name in ("duyet.db", "duyet.db-wal", "duyet.db-shm"):
            here, there = tmp_path / name, tmp_path / "kept" / name
            here, there = (here, there) if is_away else (there, here)
            if here.exists():
                here.rename(there)

    with running(tmp_path, DUYET_SPOOL="on") as first:
        client = Client(first, first.store.new_akismet_key(first.site.id))
        assert client.check("Một.").text == "false"
    (tmp_path / "kept").mkdir()
    away(is_away=True)
    (tmp_path / "duyet.db").mkdir()
    settings = load_settings({"DUYET_DATA_DIR": str(tmp_path), "DUYET_SPOOL": "on"})
    keyring = Keyring(settings.secrets_dir)
    with served(build(settings, Store.open(settings.sqlalchemy_url, keyring))) as port:
        late = replace(client, service=replace(first, port=port))
        held = late.check("Hai.", user_agent="x")
        stranger = late.form("/1.1/comment-check", api_key="0" * 12, comment_content="Ba.")
    (tmp_path / "duyet.db").rmdir()
    away(is_away=False)
    store = Store.open(settings.sqlalchemy_url, keyring)
    Spool(settings.spool_dir, settings.spool_max_bytes).replay(store)
    contents = [one.submission.content for one in store.kept(first.site.id)]
    waiting = [item.comment.submission.content for item in store.queue_page(None).items]
    store.close()

    assert held.headers["x-akismet-error"] == "waiting-for-a-moderator"
    assert stranger.headers["x-akismet-error"] == "unavailable"
    assert (contents, waiting) == (["Một.", "Hai."], ["Hai."])
