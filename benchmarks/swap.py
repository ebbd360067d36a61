"""Decide, export, train, promote: does a service under load swap models without a dropped request?

    python -m benchmarks.swap --data DIR

Posts comments without a pause from 8 connections. Meanwhile: decisions on queued comments,
`duyet export labels`, `duyet train` on them and our own texts, `duyet models promote`. Prints
the statuses of all requests, which versions answered, and how long the swap took to show.
"""

import argparse
import json
import tempfile
import threading
import time
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx

import training
from benchmarks.installation import Installation, comments, encoded, installation

CONNECTIONS = 8
DECISIONS = 20
OWN_TEXTS = Path(training.__file__).parent / "texts"


class Load:
    """Requests from several connections until it is told to stop."""

    def __init__(self, site: Installation, bodies: list[dict[str, Any]]) -> None:
        self._site = site
        self._bodies = cycle(bodies)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.statuses: Counter[str] = Counter()
        self.models: dict[str, float] = {}
        self._threads = [threading.Thread(target=self._client) for _ in range(CONNECTIONS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _client(self) -> None:
        headers = {**self._site.headers, "Content-Type": "application/json"}
        with httpx.Client(base_url=self._site.url, headers=headers, timeout=30) as http:
            while not self._stopping.is_set():
                with self._lock:
                    body = next(self._bodies)
                try:
                    answer = http.post("/v1/comments", content=encoded(body))
                except httpx.HTTPError as problem:
                    self._count(type(problem).__name__, "")
                    continue
                model = answer.json()["model"] if answer.status_code == 200 else ""
                self._count(str(answer.status_code), model)

    def _count(self, status: str, model: str) -> None:
        with self._lock:
            self.statuses[status] += 1
            if model:
                self.models.setdefault(model, time.perf_counter())


def decide(site: Installation) -> int:
    """Decisions on what waits: accept half, reject half as spam."""
    with httpx.Client(base_url=site.url, headers=site.headers, timeout=30) as http:
        waiting = http.get("/v1/queue", params={"limit": DECISIONS}).json()["items"]
        for place, item in enumerate(waiting):
            spam = {"outcome": "reject", "reason": "spam"}
            said = spam if place % 2 else {"outcome": "accept"}
            http.post(f"/v1/comments/{item['id']}/decision", json=said).raise_for_status()
    return len(waiting)


def learn(site: Installation, folder: Path) -> str:
    """Export the labels, train on them and on our own texts, and give the new version."""
    labels = folder / "labels.jsonl"
    labels.write_text(site.run("export", "labels"))
    toxic = folder / "toxic.jsonl"
    # Our own texts teach spam alone; the few lines here let the other head be fitted as well.
    words = [("Mày ngu lắm", "toxic"), ("You are an idiot", "toxic")]
    words += [("Cảm ơn bạn", "clean"), ("I agree with you", "clean")]
    rows = [
        {"id": f"t{i}", "text": f"{text} {i}", "label": label, "task": "toxicity"}
        for i in range(60)
        for text, label in words
    ]
    toxic.write_text("\n".join(map(json.dumps, rows)))
    texts = sorted(map(str, OWN_TEXTS.glob("*.jsonl")))
    trained = site.run(
        "train", str(labels), str(toxic), *texts, "--out", str(site.data_dir / "models"), "--json"
    )
    return str(json.loads(trained)["version"])


def main() -> None:
    """Run the whole loop once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="labelled files")
    bodies = comments(parser.parse_args().data, 2000)
    with tempfile.TemporaryDirectory() as name, installation(Path(name)) as site:
        site.start()
        with Load(site, bodies) as load:
            while not load.models:
                time.sleep(0.1)
            before = next(iter(load.models))
            time.sleep(2)
            print(f"decided         {decide(site)} queued comments")
            version = learn(site, Path(name))
            print(f"trained         {version} on exported labels")
            promoted = time.perf_counter()
            site.run("models", "promote", version, "--why", "swap under load")
            while version not in load.models and time.perf_counter() - promoted < 30:
                time.sleep(0.05)
            time.sleep(2)
        swapped = load.models.get(version)
        print(f"answered        {sum(load.statuses.values())} requests: {dict(load.statuses)}")
        print(f"models          {before} then {[m for m in load.models if m != before]}")
        after = f"{swapped - promoted:.1f} s after the promotion" if swapped else "NEVER"
        print(f"first verdict   by the new version {after}")


if __name__ == "__main__":
    main()
