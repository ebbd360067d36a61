"""What training costs as the comments grow: time, memory and disk, by generated comments.

    python -m benchmarks.training --rows 10000000
    python -m benchmarks.training --rows 50000 --store --memory 1GB

Writes that many comments, made of words of the project's own texts and of made-up ones, and runs
`duyet train` on them as a user would; with --store they are imported into an installation, whose
labels move the champion. Memory is the proportional set size of all its processes,
read twice a second, so that what they share counts once.
"""

import gzip
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

import click

DUYET = (sys.executable, "-m", "duyet")
TEXTS = Path(__file__).parent.parent / "training" / "texts"
SYLLABLES = ("an", "bo", "chi", "dem", "em", "gio", "hoa", "kim", "lan", "minh", "nga", "qua", "xa")
SOURCES = ("blog", "forum", "news")


def comments(count: int, seed: int = 1) -> Iterator[dict[str, object]]:
    """Labelled comments of 5 to 60 words: a third of a label's own texts, the rest of anybody's."""
    draw = random.Random(seed)
    words = _words()
    every = sorted({word for of_label in words.values() for word in of_label})
    labels = sorted(words)
    for at in range(count):
        label = draw.choice(labels)
        own = draw.choices(words[label], k=draw.randint(2, 20))
        others = draw.choices(every, k=draw.randint(3, 30))
        made = ["".join(draw.choices(SYLLABLES, k=3)) for _ in range(draw.randint(0, 10))]
        said = [*own, *others, *made]
        draw.shuffle(said)
        row: dict[str, object] = {
            "id": str(at),
            "text": " ".join(said),
            "label": label,
            "source": draw.choice(SOURCES),
            "group": f"article {draw.randrange(max(10, count // 50))}",
        }
        if draw.random() < 0.5:
            row["author"] = draw.choice(made or said)
        if draw.random() < 0.1:
            row["author_url"] = f"https://{draw.choice(made or ['an'])}.org/"
        yield row


@click.command()
@click.option("--rows", type=click.IntRange(min=200), default=20_000, show_default=True)
@click.option("--memory", default="2GB", show_default=True, help="As for duyet train.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--store", is_flag=True, help="Import them, and train on an installation's labels.")
@click.option(
    "--words", type=click.IntRange(min=1), default=1, show_default=True, help="Times as many words."
)
def main(rows: int, memory: str, jobs: int, words: int, *, store: bool) -> None:
    """Train on generated comments, and tell what it cost."""
    how = ["--memory", memory, "--jobs", str(jobs)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "comments.jsonl.gz"
        letters = _write(file, rows, words, as_history=store)
        told = _moved(file, folder, how) if store else _trained(file, folder, how)
    given = {"rows": rows, "letters": round(letters), "memory": memory, "jobs": jobs}
    click.echo(json.dumps(given | told, indent=1))


def _write(file: Path, rows: int, words: int, *, as_history: bool) -> float:
    """Write comments, as labelled ones or as a site's history; the mean of their letters."""
    letters = 0
    with gzip.open(file, "wt", 1, "utf-8") as stream:
        for row in comments(rows):
            row["text"] = " ".join([str(row["text"])] * words)
            letters += len(str(row["text"]))
            written = _as_history(row) if as_history else row
            stream.write(json.dumps(written, ensure_ascii=False) + "\n")
    return letters / rows


def _as_history(row: Mapping[str, object]) -> dict[str, object]:
    said_fine = row["label"] in ("ham", "clean")
    return {
        "id": row["id"],
        "content": row["text"],
        "author_name": row.get("author", ""),
        "author_url": row.get("author_url", ""),
        "permalink": f"https://blog.example/{row['group']}".replace(" ", "-"),
        "written_at": 1_700_000_000 + int(str(row["id"])),
        "status": "approved" if said_fine else "spam",
        "moderator": "somebody",
    }


def _trained(file: Path, folder: Path, how: Sequence[str]) -> dict[str, object]:
    to = ["--out", str(folder / "models"), "--work", str(folder / "work")]
    told, _ = _watched(["train", str(file), *to, *how])
    shards = sum(f.stat().st_size for f in (folder / "work" / "shards").iterdir())
    every = sum(f.stat().st_size for f in (folder / "work").rglob("*") if f.is_file())
    return told | {"disk_megabytes": {"shards": round(shards / 1e6), "all": round(every / 1e6)}}


def _moved(file: Path, folder: Path, how: Sequence[str]) -> dict[str, object]:
    """Train an installation that has these comments as its history."""
    os.environ["DUYET_DATA_DIR"] = str(folder / "var")
    for call in (["migrate"], ["sites", "add", "blog"], ["import", str(file), "--site", "blog"]):
        subprocess.run([*DUYET, *call], check=True, capture_output=True)
    told, answer = _watched(["train", "--no-attacks", *how])
    return told | {"labels": answer["labels"], "left_out": answer["left_out"]}


def _watched(call: Sequence[str]) -> tuple[dict[str, object], dict[str, Any]]:
    """What a training cost, and what it answered."""
    stages: dict[str, float] = {}
    peak = [0]
    done = Event()
    body: dict[str, Any] = {}
    with subprocess.Popen([*DUYET, *call, "--progress", "json"], stdout=subprocess.PIPE) as process:
        watching = Thread(target=_watch, args=(process.pid, peak, done))
        watching.start()
        assert process.stdout is not None
        before = 0.0
        for line in process.stdout:
            body = json.loads(line)
            now = _spent(process.pid) if body["stage"] != "added" else before
            stages[body["stage"]] = stages.get(body["stage"], 0.0) + max(0.0, now - before)
            before = max(now, before)
        done.set()
        watching.join()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost: dict[str, object] = {
        "status": process.returncode,
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "cpu_seconds_by_stage": {name: round(spent, 1) for name, spent in stages.items()},
        "peak_megabytes": round(peak[0] / 1e6),
    }
    return cost, body


def _family(pid: int) -> list[int]:
    found = [pid]
    for of in found:
        try:
            tasks = os.listdir(f"/proc/{of}/task")
            for task in tasks:
                found += map(int, Path(f"/proc/{of}/task/{task}/children").read_text().split())
        except OSError:
            continue
    return found


def _spent(pid: int) -> float:
    """Processor time of a process, what it waited for, and its children that run."""
    ticks = 0
    for of in _family(pid):
        try:
            told = Path(f"/proc/{of}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, told[11:15] if of == pid else told[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _watch(pid: int, peak: list[int], done: Event) -> None:
    while not done.wait(0.5):
        whole = 0
        for of in _family(pid):
            try:
                lines = Path(f"/proc/{of}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            whole += sum(1024 * int(x.split()[1]) for x in lines if x.startswith("Pss:"))
        peak[0] = max(peak[0], whole)


def _words() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted(TEXTS.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            found.setdefault(row["label"], []).extend(row["text"].split())
    return found


if __name__ == "__main__":
    main()
