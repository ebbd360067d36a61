"""The commands that say how good a model is, on a page: `duyet models compare` and `report`.

Know files, the registry and where pages go; what stands on them is in `training`. Apart from
`duyet.model_commands`, because measuring imports what fits.
"""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click

from model.classifier import Classifier
from model.comparison import Comparison
from model.manifest import Manifest
from model.promotion import promotable
from model.registry import CHAMPION, SHIPPED, Registry, RegistryError
from training.comparing import compare as compared
from training.comparison_page import (
    REASONS_SHOWN,
    WITHOUT_SHADOW,
    comparison_page,
    keep,
)
from training.contenders import Contender, Labelled, Options, labelled_of
from training.examples import STDIN
from training.models_option import models_option, registry_to_read, registry_to_write
from training.reading import examples_of, tell_left_out
from training.saying import said
from training.train_command import data_digests
from training.version_page import Standing, version_page
from training.wording import LANGUAGES, words_in

_out_option = click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the page there.",
)
_language_option = click.option(
    "--language",
    type=click.Choice(LANGUAGES),
    default="en",
    show_default=True,
    help="What the page is worded in.",
)


@click.command(
    "compare",
    epilog="""\b
Examples:
  duyet models compare challenger labelled.jsonl.gz -o report.html
  duyet models compare challenger 0123456789ab labelled.jsonl.gz --json
  duyet export labels | duyet models compare challenger - --unseen

What it finds is kept in the registry, where `duyet models promote` asks for it.""",
)
@click.argument("challenger")
@click.argument("rest", nargs=-1, required=True, metavar="[CHAMPION] FILE...")
@models_option
@click.option(
    "--unseen",
    is_flag=True,
    help="Say that the challenger was fitted to none of these comments, nor to others of their "
    "articles.",
)
@click.option("--no-attacks", is_flag=True, help="Leave out the table of disguises: half as long.")
@click.option("--no-keep", is_flag=True, help="Write nothing into the registry.")
@_out_option
@_language_option
@click.option("--json", "as_json", is_flag=True, help="The comparison as JSON.")
@click.option(
    "--skip-bad", is_flag=True, help="Leave out rows that cannot be read, and count them."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of the intervals.")
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Processes to work with.  [default: one a core]"
)
def compare(  # noqa: PLR0913  a parameter is an option of the command
    *,
    challenger: str,
    rest: tuple[str, ...],
    models: Path | None,
    unseen: bool,
    no_attacks: bool,
    no_keep: bool,
    out: Path | None,
    language: str,
    as_json: bool,
    skip_bad: bool,
    seed: int,
    jobs: int | None,
) -> None:
    """Compare a model with another on labelled comments: what it wins, and what it costs.

    Both judge every comment of FILE as it was when it came; the differences have intervals. A
    CHALLENGER that may have been fitted to these comments looks better than it is, and cannot
    be promoted by this: `duyet train` compares by itself, on what each fit has not seen.
    CHAMPION is the one in use unless another is named.
    """
    champion, files = _champion_and_files(rest)
    registry = registry_to_read(models)
    left_out: Counter[str] = Counter()
    labelled = labelled_of(
        examples_of(files, skip_bad=skip_bad, left_out=left_out), jobs=jobs or -1
    )
    tell_left_out(left_out)
    if not labelled.examples:
        raise click.ClickException("there are no labelled rows")
    try:
        new, old = _loaded(registry, challenger), _loaded(registry, champion)
    except RegistryError as problem:
        raise click.ClickException(str(problem)) from None
    found = compared(
        Contender(old[0].version, (old[0],)),
        Contender(new[0].version, (new[0],), judged=_judged(new[1], labelled, unseen=unseen)),
        labelled,
        at=datetime.now(UTC),
        options=Options(
            seed=seed, jobs=jobs or -1, attacked=0 if no_attacks else Options().attacked
        ),
        manifest=old[1],
    )
    if not no_keep and registry.root != SHIPPED:
        _keep(registry, found)
    if out is not None:
        out.write_text(comparison_page(found, language), "utf-8")
        click.echo(f"wrote {out}", err=True)
    click.echo(found.to_json().rstrip() if as_json else "\n".join(told(found)))


def _keep(registry: Registry, found: Comparison) -> None:
    """Keep a comparison, unless one that says more of the two is there: on what was not seen."""
    with suppress(RegistryError):
        earlier = registry.report(found.challenger, found.champion)
        if earlier is not None and earlier.judged != "unknown" and found.judged == "unknown":
            click.echo(
                "not kept: the comparison there is was on labels that the challenger had not seen",
                err=True,
            )
            return
    keep(registry_to_write(registry.root), found)


def told(comparison: Comparison) -> Iterable[str]:
    """The answer for a terminal: whether to promote, why, and every figure."""
    words = words_in("en")
    ruling = promotable(comparison, None, WITHOUT_SHADOW)
    yield f"{comparison.challenger} against {comparison.champion}, on {comparison.rows:,} labels"
    yield words("answer.yes" if ruling.may else "answer.no")
    yield ""
    reasons = sorted(ruling.reasons, key=lambda reason: not reason.refuses)
    for reason in reasons[:REASONS_SHOWN]:
        yield f"  {'✕' if reason.refuses else '✓'} {said(reason, words, comparison)}"
    if len(reasons) > REASONS_SHOWN:
        yield f"    {words('reasons.more', n=str(len(reasons) - REASONS_SHOWN))}, on the page"
    yield ""
    yield f"  {'':<44}{'old':>9}{'new':>9}{'change, in points':>22}"
    for figure in comparison.figures:
        name = said_figure(figure.name)
        ends = (figure.difference.low, figure.difference.high)
        span = "" if None in ends else " … ".join(f"{100 * e:+.1f}" for e in ends if e is not None)
        sides = (words.percent(x.value) for x in (figure.champion, figure.challenger))
        old, new = (side.replace("\u00a0", " ") for side in sides)
        yield f"  {name:<44}{old:>9}{new:>9}{span:>22}".rstrip()


def said_figure(name: str) -> str:
    """A figure's name as words, without what it depends on."""
    return name.replace("_", " ")


def _champion_and_files(rest: tuple[str, ...]) -> tuple[str, list[Path]]:
    """The champion's name, if the first word is one, and the files."""
    first, *others = rest
    is_file = Path(first) == STDIN or Path(first).is_file()
    champion, names = (CHAMPION, list(rest)) if is_file else (first, others)
    if not names:
        raise click.UsageError(f"there is no file {first!r}, and no FILE after it")
    paths = [Path(name) for name in names]
    for path in paths:
        if path != STDIN and not path.is_file():
            raise click.UsageError(f"there is no file {str(path)!r}")
    return champion, paths


def _loaded(registry: Registry, name: str) -> tuple[Classifier, Manifest]:
    return registry.load(name), registry.manifest(name)


def _judged(manifest: Manifest, labelled: Labelled, *, unseen: bool) -> str:
    """What `Comparison.judged` says. Raises click's error for a claim that is not so."""
    digests = {str(told.get("sha256")) for told in manifest.data}
    rows = {str(told["sha256"]) for told in data_digests(labelled.examples)}
    if unseen and digests & rows:
        raise click.UsageError("--unseen: the challenger was fitted to these very rows")
    return "unseen" if unseen else "unknown"


@click.command(
    "report",
    epilog="""\b
Examples:
  duyet models report champion -o champion.html
  duyet models report challenger --against champion -o report.html --language vi
  duyet models report challenger --against champion --json""",
)
@click.argument("version")
@click.option(
    "--against",
    metavar="CHAMPION",
    help="The comparison with that version or name, as `duyet models compare` or training kept it.",
)
@models_option
@_out_option
@_language_option
@click.option("--json", "as_json", is_flag=True, help="The figures as JSON, on standard output.")
def report(
    *,
    version: str,
    against: str | None,
    models: Path | None,
    out: Path | None,
    language: str,
    as_json: bool,
) -> None:
    """Put a model on a page: what it promises, how good it is, what it was fitted to.

    The page is one file that loads nothing and runs nothing. Without -o it goes to standard
    output.
    """
    registry = registry_to_read(models)
    try:
        page, body = _report(registry, version, against, language)
    except RegistryError as problem:
        raise click.ClickException(str(problem)) from None
    if out is not None:
        out.write_text(page, "utf-8")
        click.echo(f"wrote {out}", err=True)
    if as_json or out is None:
        click.echo((body if as_json else page).rstrip())


def _report(
    registry: Registry, version: str, against: str | None, language: str
) -> tuple[str, str]:
    """The page and the JSON. Raises RegistryError, and click's error for what nobody compared."""
    manifest = registry.manifest(version)
    if against is None:
        page = version_page(manifest, language, _standing(registry, manifest.version))
        return page, manifest.to_json()
    found = registry.report(version, against)
    if found is None:
        raise click.ClickException(
            f"nobody compared {version} with {against}: duyet models compare {version} FILE…"
        )
    return comparison_page(found, language), found.to_json()


def _standing(registry: Registry, version: str) -> Standing:
    """What the registry says of a version."""
    others = [other for other in registry.versions() if other != version]
    compared_with = [registry.report(version, other) for other in others]
    return Standing(
        names=tuple(sorted(name for name, to in registry.names().items() if to == version)),
        comparisons=tuple(found for found in compared_with if found is not None),
        moves=tuple(move for move in registry.moves() if move.get("to") == version),
    )
