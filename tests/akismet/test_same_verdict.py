"""A comment gets the same verdict by whatever door it comes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.storage import Store
from tests.akismet.conftest import HOME, Client
from tests.api.service import UNAUDITED, Clock, Service, model_at, running

TEXTS = Path(__file__).parents[2] / "training" / "texts"
COMMENTS = 150


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Client]]:
    """Two services of the same model that have seen nothing."""
    place = tmp_path_factory.mktemp("doors")
    for name in ("json", "form"):
        (place / name).mkdir()
        model_at(place / name / "models", scale=0.3)  # which says all three
    with (
        running(place / "json", policy=UNAUDITED, now=Clock()) as one,
        running(place / "form", policy=UNAUDITED, now=Clock()) as other,
    ):
        yield one, Client(other, other.store.new_akismet_key(other.site.id))


def texts() -> list[str]:
    """Texts of the project's own, some of each file."""
    files = [
        [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
        for path in sorted(TEXTS.glob("*.jsonl"))
    ]
    found = [rows[at]["text"] for at in range(COMMENTS) for rows in files if at < len(rows)]
    return [text for text in found if text.strip()][:COMMENTS]


def judged(store: Store, comment_id: str) -> Any:
    """All that the verdict says."""
    stored = store.comment(None, comment_id)
    assert stored is not None
    return stored.verdict


def test_form_and_json_are_judged_alike(both: tuple[Service, Client]):
    service, client = both
    differing, outcomes = [], set()
    for place, text in enumerate(texts()):
        name, email, link = f"Bạn đọc {place}", f"b{place}@mail.example", f"{HOME}/{place % 9}"
        author = {"name": name, "email": email, "ip": "203.0.113.7", "user_agent": "Mozilla/5.0"}
        body = {"content": text, "author": author, "permalink": link}
        by_json = service.post(body).json()
        by_form = client.check(
            text,
            comment_author=name,
            comment_author_email=email,
            user_agent="Mozilla/5.0",
            permalink=link,
        )
        one = judged(service.store, by_json["id"])
        other = judged(client.store, by_form.headers["x-akismet-guid"])
        outcomes.add(one.outcome)
        differing += [] if one == other else [text]

    assert differing == []
    assert len(outcomes) > 1
