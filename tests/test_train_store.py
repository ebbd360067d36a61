"""`duyet train` without a FILE: from what people of an installation said, to a challenger."""

import json
import random

import numpy as np
import pytest

from model.features import Spec
from model.registry import CHALLENGER, CHAMPION, Registry
from tests.judging_cases import a_manifest
from tests.test_commands import Desk

FEW = Spec(bits=10, chars=(), words=(1,), marked=())
WORDS = {
    "approved": "ga tàu chuyến muộn vé đường ray station platform late ticket",
    "spam": "seo backlink guest post agency rank từ khóa dịch vụ giá rẻ zalo",
}


@pytest.fixture
def registry(tmp_path, monkeypatch, capsysbinary):
    """A registry whose champion has few features, in an installation with 60 labels."""
    desk = Desk(tmp_path / "var", monkeypatch, capsysbinary)
    desk("migrate")
    desk("sites", "add", "blog")
    draw = random.Random(2)
    rows = [
        {
            "id": str(at),
            "content": " ".join(draw.choices(WORDS[status].split(), k=9)) + f" {at}",
            "status": status,
            "permalink": f"https://blog.example/{at // 2 % 12}",
        }
        for at, status in zip(range(60), list(WORDS) * 30, strict=True)
    ]
    (tmp_path / "old.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert desk("import", str(tmp_path / "old.jsonl"), "--site", "blog")[0] == 0
    registry = Registry(tmp_path / "var" / "models")
    table = np.random.default_rng(1).normal(0, 0.3, (2**FEW.bits, 2)).astype(np.float32)
    base = registry.add(a_manifest(spec=FEW), table)
    registry.move(CHAMPION, base, who="a test", why="to begin with", at=NOW)
    yield desk, registry
    desk.close()
