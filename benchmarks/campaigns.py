"""Which labelled comments would stand in a campaign, and whether spam and ham are kept apart.

    python -m benchmarks.campaigns --data DIR

Every comment of a file waits on one site, in the file's order, and nothing is known of its author:
the worst case, as of whom something was published before is in no campaign. A campaign is pure
when all its comments have one label. Ham in pure campaigns of ham costs nobody anything: one press
accepts it; ham in mixed ones is what a press could wrong.
"""

import argparse
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.labelled import examples_in
from model.campaigns import Grouping, Trait, look_of
from model.decision import LabelledExample
from model.facts import gather
from model.outcome import Head
from model.submission import Author, Submission
from training.recipes import RESEARCH_ONLY


@dataclass(frozen=True, slots=True)
class Found:
    """What became of the comments of one file: counts, and processor time in microseconds."""

    spam: int
    ham: int
    spam_in: int
    ham_in: int
    ham_in_mixed: int
    campaigns: int
    pure: int
    microseconds: float


def found_in(examples: Iterable[LabelledExample]) -> Found:
    """Put the comments of one file in order, and count."""
    grouping = Grouping()
    is_spam: dict[str, bool] = {}
    begun = time.process_time()
    for number, example in enumerate(examples):
        one = str(number)
        is_spam[one] = example.label.positive
        author = Author(name=example.author, url=example.author_url)
        grouping.put(one, look_of(gather(Submission(content=example.text, author=author))))
    taken = time.process_time() - begun
    campaigns: dict[tuple[Trait, str], list[str]] = {}
    for one in is_spam:
        if (group := grouping.campaign_of(one)) is not None:
            campaigns.setdefault((group.trait, group.key), []).append(one)
    pure = [ids for ids in campaigns.values() if len({is_spam[one] for one in ids}) == 1]
    members = [one for ids in campaigns.values() for one in ids]
    in_pure = {one for ids in pure for one in ids}
    ham_in = [one for one in members if not is_spam[one]]
    return Found(
        spam=sum(is_spam.values()),
        ham=len(is_spam) - sum(is_spam.values()),
        spam_in=len(members) - len(ham_in),
        ham_in=len(ham_in),
        ham_in_mixed=sum(one not in in_pure for one in ham_in),
        campaigns=len(campaigns),
        pure=len(pure),
        microseconds=1e6 * taken / max(len(is_spam), 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.campaigns", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="labelled files")
    parser.add_argument("--rows", type=int, default=10_000, help="of one file, in its order")
    options = parser.parse_args()
    print(
        "| file | spam | ham | spam in campaigns | ham in campaigns | of that in mixed ones |"
        " campaigns | pure | µs a comment |"
    )
    print("| --- |" + " ---: |" * 8)
    files = sorted((*options.data.glob("*.jsonl.gz"), *options.data.glob("*.jsonl")))
    for name in [file.name.partition(".")[0] for file in files]:
        if name in RESEARCH_ONLY:
            continue
        examples = examples_in(options.data, rows=options.rows, only=[name])
        f = found_in(one for one in examples if one.label.head is Head.SPAM)
        if not f.spam + f.ham:
            continue
        cells = (f.spam, f.ham, f.spam_in, f.ham_in, f.ham_in_mixed, f.campaigns, f.pure)
        print(
            f"| {name} | " + " | ".join(map(str, cells)) + f" | {f.microseconds:.0f} |", flush=True
        )


if __name__ == "__main__":
    main()
