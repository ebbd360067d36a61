"""Import a WordPress export of a given size: `python -m benchmarks.history --megabytes 2000`.

The export is written as a stream into a temporary directory, then imported by the real command in
a process of its own. Said are its processor time, the most memory that it held, and how many
comments it took in a second.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.history.samples import comment, item, wxr

_COMMENTS = 5
"""Comments of an article; an article of 40 KB, as with markup and pictures' captions."""

_ARTICLE = "<p>Một bài dài về nước lũ &amp; đê điều.</p>\n" * 800


def parts(megabytes: int) -> Iterator[bytes]:
    """An export of so many megabytes, in parts."""
    begin, _, end = wxr("\0").partition("\0")
    yield begin.encode()
    size, number = 0, 0
    while size < megabytes * 1_000_000:
        said = [
            comment(number + n, f"Bình luận số {number + n}: " + "cảm ơn tác giả " * 12)
            for n in range(_COMMENTS)
        ]
        number += _COMMENTS
        text = item(*said, link=f"https://blogs.example/a/{number}")
        part = text.replace("A long post & more", _ARTICLE).encode()
        size += len(part)
        yield part
    yield end.encode()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "export.xml"
        with file.open("wb") as stream:
            for part in parts(options.megabytes):
                stream.write(part)
        environment = os.environ | {"DUYET_DATA_DIR": str(Path(directory) / "var")}
        for call in (
            ["migrate"],
            ["sites", "add", "blog"],
            ["import", str(file), "--site", "blog"],
        ):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            answer = subprocess.run(
                [sys.executable, "-m", "duyet", *call],
                env=environment,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    count = int(answer.partition(" ")[0].replace(",", ""))
    print(answer, end="")
    print(
        f"{options.megabytes:,} MB in {seconds:.0f} s of processor time: {count / seconds:,.0f}/s"
    )
    print(f"at the most {after.ru_maxrss / 1024:.0f} MiB of memory")
    return 0


if __name__ == "__main__":
    sys.exit(main())
