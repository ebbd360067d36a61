"""The command `duyet train`: labelled files in, a model version with its card out.

Knows files, the terminal and the registry; how a model is fitted is in `training.fit`, how it
is measured in `training.held_out`.
"""

import errno
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from joblib import cpu_count

from model.comparison import Comparison
from model.decision import LabelledExample
from model.language import LANGUAGES, UNKNOWN
from model.moves import LONGEST_WHY
from model.one_line import one_line
from model.outcome import Head
from model.policy import Policy
from model.promise import ANY
from model.promotion import ruling_on
from model.refusals import Refusal
from model.registry import CHALLENGER, CHAMPION, Manifest, Registry, RegistryError
from training.against import compared_with_champion
from training.card import card_of, is_research_only, threshold_text
from training.chunks import canonical
from training.cluster import ADDRESS, ClusterError, cluster_at
from training.contenders import Options as Comparing
from training.fit import Fitted, NotEnough, manifest_of
from training.held_out import allowed, histograms
from training.memory import LEAST_MEMORY, MEMORY, jobs_for, memory_for_fits
from training.models_option import registry_said_plainly, registry_to_write
from training.progress import FORMS, Tell, shown, write_line
from training.reading import examples_of, files_argument, tell_left_out
from training.recipes import RECIPES, Recipe
from training.resolving import settled
from training.sources import Digests
from training.streamed import STAGES, WITH_SEARCH, Streamed, streamed
from training.work import Damaged, Work, remove_if_left
from training.workers import Local, Workers, WorkStopped

CARD = "card.md"
TRAINER = "duyet train"
"""Who moves names when a version was trained."""

_USUAL = {"reject_risk": Policy().reject_risk, "queue_risk": Policy().queue_risk}
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What is said where a disk, a quota or a bound on files is full."""
PROBES: tuple[str, ...] = (
    "",
    "Cảm ơn tác giả, bài viết rất hữu ích!",
    "Minh doc xong roi, dung la nhu vay that.",
    "Vay tiền nhanh không thế chấp, giải ngân trong ngày, liên hệ https://vay.example/",
    "Mày ngu lắm, im đi.",
    "Thanks, this cleared up what I had wrong for years.",
    "Play now and win big at https://casino.example/ bonus bonus bonus",
    "You are an idiot and everybody knows it.",
)
"""Texts of our own that every version must score as it did when it was fitted."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to fit, beside the recipe. `jobs` is a number of processes, None for one a core.

    `memory` in bytes bounds all processes of this machine together. `work` is a directory to keep
    what is finished in; None for one that is gone afterwards. `cluster` is the address of a Dask
    scheduler whose workers see that directory. `search` tries hyper-parameters first. To
    `promote` in the place of another champion takes a `why`: that goes past the rule.
    """

    research: bool
    promote: bool
    jobs: int | None
    memory: int = MEMORY
    work: Path | None = None
    cluster: str | None = None
    search: bool = False
    why: str = ""


PASSING = ".training-"
"""How the name of a work directory begins that is gone afterwards."""


class Size(click.ParamType[int]):
    """A number of bytes, as "2GB" or "1500MB"; units are powers of 1,000."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes of a text. Fails for anything else and for too little."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?) ?([MGT])B?", value.strip().upper())
        if found is None:
            self.fail(f"{value!r} is no size; it must be like 2GB or 1500MB", param, ctx)
        number = int(float(found[1]) * {"M": 10**6, "G": 10**9, "T": 10**12}[found[2]])
        if number < LEAST_MEMORY:
            self.fail(f"{value} is too little: a training takes {size(LEAST_MEMORY)}", param, ctx)
        return number


def size(number: int) -> str:
    """Bytes as a person writes them."""
    return f"{number / 10**9:g}GB"


@click.command(
    "train",
    epilog="""\b
Examples:
  duyet train labelled/*.jsonl.gz --out models
  duyet export labels | duyet train - base.jsonl.gz --out var/models
  duyet train labels.jsonl --out models --promote --json
  duyet train many.jsonl.gz --out models --work var/training --memory 4GB

Then: duyet models show challenger --models models""",
)
@files_argument
@click.option(
    "--out",
    required=True,
    metavar="REGISTRY",
    type=click.Path(file_okay=False, path_type=Path),
    help="The registry's directory, made if need be.",
)
@click.option(
    "--recipe",
    "recipe_name",
    type=click.Choice(list(RECIPES)),
    default="general",
    show_default=True,
    help="How to weigh sources and fit.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Instead of the recipe's.")
@click.option(
    "--research",
    is_flag=True,
    help="Also use sources that are for research only. The model must not be given away then.",
)
@click.option(
    "--promote",
    is_flag=True,
    help="Make the new version the champion as well; in the place of another only with --why.",
)
@click.option("--why", default="", help="Written down with --promote, which goes past the rule.")
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Processes to work with.  [default: one a core]"
)
@click.option(
    "--memory",
    type=Size(),
    default=size(MEMORY),
    show_default=True,
    metavar="SIZE",
    help="What all processes may take together. Fewer work where it is too little for --jobs; "
    "without FILE some labels are left where it is too little for all.",
)
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep what is finished in DIR: a training that was stopped goes on from there. It holds "
    "the comments.  [default: a directory in --out, gone afterwards]",
)
@click.option(
    "--search",
    is_flag=True,
    help="First try other penalties than the recipe's by cross-validation over groups.",
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Let the workers of a Dask cluster do it, dask://host:port; all of them must see --work. "
    "Needs duyet[dask].",
)
@click.option(
    "--progress",
    "form",
    type=click.Choice(FORMS),
    default=FORMS[0],
    show_default=True,
    help="How to tell how far it is: a bar, or lines of JSON on standard output.",
)
@click.option(
    "--skip-bad", is_flag=True, help="Leave out rows that cannot be read, and count them."
)
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON, for a machine.")
def train(  # noqa: PLR0913  a parameter is an option of the command
    *,
    files: tuple[Path, ...],
    out: Path,
    recipe_name: str,
    seed: int | None,
    research: bool,
    promote: bool,
    why: str,
    jobs: int | None,
    memory: int,
    work: Path | None,
    search: bool,
    cluster: str | None,
    form: str,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Fit a model to labelled comments and add it to a registry as `challenger`.

    FILE holds a JSON object a line (`text`, `label`: spam, ham, toxic or clean, and if known
    `group`, `source`, `lang`; docs/training.md has all keys), plain or gzip; `-` is standard
    input. Both tasks need examples of both labels.

    Figures and thresholds come from examples whose `group` the judging fit has not seen. They
    are written into the version's card. The same rows in the same order, recipe and seed give
    the same bytes of weights, whatever --jobs and --memory. The first version of a registry
    becomes its champion.
    """
    recipe = RECIPES[recipe_name] if seed is None else replace(RECIPES[recipe_name], seed=seed)
    if cluster and not work:
        raise click.UsageError("--cluster goes with --work: a directory that all workers see")
    if cluster and not ADDRESS.fullmatch(cluster):
        raise click.UsageError("--cluster is an address like dask://host:8786")
    said = one_line(why, longest=LONGEST_WHY)
    if why and not promote:
        raise click.UsageError("--why goes with --promote")
    options = Options(research, promote, jobs, memory, work, cluster, search, said)
    left_out: Counter[str] = Counter()
    with shown(form, WITH_SEARCH if search else STAGES) as progress:
        rows = examples_of(
            files, skip_bad=skip_bad, left_out=left_out, told=lambda done: progress("reading", done)
        )
        usable = settled(allowed(rows, recipe, left_out, research=research), left_out)
        try:
            manifest, names = trained_into(
                registry_to_write(out), usable, recipe, options, progress=progress
            )
        finally:
            tell_left_out(left_out)
    for warning in blind_spots(manifest):
        click.echo(f"warning: {warning}", err=True)
    answer = {"registry": str(out), "names": names, **_answer(manifest, names[CHALLENGER])}
    if form == "json":
        write_line({"stage": "added", "done": 1.0, "seconds_left": 0} | answer)
    else:
        click.echo(_json(answer) if as_json else "\n".join(_told(answer, out)))


def trained_into(
    registry: Registry,
    examples: Iterable[LabelledExample],
    recipe: Recipe,
    options: Options,
    *,
    progress: Tell = lambda _, __: None,
) -> tuple[Manifest, dict[str, str]]:
    """Fit, measure, add to a registry: the manifest, and where its names point then.

    The version is what `challenger` points at. Raises click's error, before anything is fitted
    where another champion is to give way and nobody says why.
    """
    _may_promote(registry, options)
    done = fitted_and_measured(examples, recipe, options, beside=registry.root, progress=progress)
    manifest = described(done)
    names = _added(registry, manifest, done.fitted)
    compared = _compared(registry, names, done, options)
    if options.promote and names[CHAMPION] != names[CHALLENGER]:
        names = _promoted(registry, names, compared, options.why)
    return manifest, names


def _may_promote(registry: Registry, options: Options) -> None:
    with registry_said_plainly():
        serves = registry.names().get(CHAMPION) if registry.root.exists() else None
    if options.promote and serves and not options.why:
        raise click.UsageError(
            f"{serves} is champion there: --promote goes past the rule, so it takes --why"
        )


def fitted_and_measured(
    examples: Iterable[LabelledExample],
    recipe: Recipe,
    options: Options,
    *,
    beside: Path | None = None,
    progress: Tell = lambda _, __: None,
) -> Streamed:
    """A fit and its held-out figures. Raises click's error.

    Without a work directory one is made in `beside`, None for where temporary files go.
    """
    with ExitStack() as stack:
        try:
            root = (options.work and options.work.absolute()) or stack.enter_context(
                _passing(beside)
            )
            work = Work.at(root)
            stack.enter_context(work.held())
        except BlockingIOError:
            raise click.ClickException(f"another training works in {root}") from None
        jobs = jobs_for(options.jobs or cpu_count(), options.memory)
        try:
            workers: Workers = Local(jobs)
            if options.cluster:
                workers = stack.enter_context(cluster_at(options.cluster, work))
            return streamed(
                examples,
                recipe,
                work=work,
                workers=workers,
                memory=memory_for_fits(jobs, options.memory),
                progress=progress,
                say=lambda told: click.echo(told, err=True),
                search=options.search,
            )
        except (NotEnough, WorkStopped, ClusterError, Damaged) as problem:
            raise click.ClickException(str(problem)) from None
        except OSError as problem:
            if problem.errno not in NO_ROOM:
                raise
            again = "start the same command again, which goes on from what is finished"
            again = again if options.work else "give --work a directory with more"
            raise click.ClickException(
                f"no room is left in {root} ({problem.strerror}): make some, and {again}"
            ) from None


@contextmanager
def _passing(beside: Path | None) -> Iterator[Path]:
    """A directory that is gone afterwards; so is the one it is in, where that is then empty."""
    made = beside is not None and not beside.exists()
    if beside is not None:
        beside.mkdir(parents=True, exist_ok=True)
        for left in beside.glob(f"{PASSING}*"):
            remove_if_left(left)
    try:
        with TemporaryDirectory(prefix=PASSING, dir=beside) as root:
            yield Path(root)
    finally:
        if beside is not None and made and not any(beside.iterdir()):
            beside.rmdir()


def described(done: Streamed) -> Manifest:
    """The manifest of a measured fit, still without version and digests."""
    manifest = manifest_of(
        done.fitted,
        done.recipe,
        data=done.data,
        evaluation={
            "tasks": {m.evaluation.head.value: m.evaluation.json_body() for m in done.measured},
            "failures": done.failures,
        },
        probes=PROBES,
    )
    recipe = {**manifest.recipe, "held_out": done.held}
    if done.searched:
        recipe["searched"] = done.searched.body()
    return replace(manifest, recipe=recipe, histogram=histograms(done.measured))


def data_digests(examples: Iterable[LabelledExample]) -> list[dict[str, Any]]:
    """What was fitted to, as `training.sources.Digests` tells it."""
    digests = Digests()
    for example in examples:
        digests.noted(example, canonical(example))
    return digests.body()


def blind_spots(manifest: Manifest) -> list[str]:
    """What a version will not do by score under the usual policy, for want of genuine comments."""
    promise, usual = manifest.promise, Policy()
    lacking = promise.missing(ANY, usual.queue_risk)
    if lacking:
        return [
            "no comment will be queued or rejected for its score: to promise that at most "
            f"{100 * usual.queue_risk:g} % of genuine comments are takes {lacking:,} more of them"
        ]
    return [
        f"{tag}: no comment will be rejected for its score: to promise that at most "
        f"{100 * usual.reject_risk:g} % of genuine comments are takes {missing:,} more of them"
        for tag in (*LANGUAGES, UNKNOWN)
        if (missing := promise.missing(tag, usual.reject_risk))
    ]


def _added(registry: Registry, manifest: Manifest, fitted: Fitted) -> dict[str, str]:
    """Write the version, move the names, and give where they point."""
    with registry_said_plainly():
        version = registry.add(manifest, fitted.final.table, extra={CARD: card_of(manifest)})
        why = "trained" + (" with research-only data" if is_research_only(manifest) else "")
        move = partial(registry.move, to=version, who=TRAINER, why=why, at=datetime.now(UTC))
        move(CHALLENGER)
        try:
            move(CHAMPION, instead_of="")
        except RegistryError as problem:
            if problem.refusal is not Refusal.OVERTAKEN:  # there is a champion
                raise
        return registry.names()


def _promoted(
    registry: Registry, names: dict[str, str], compared: Comparison | None, why: str
) -> dict[str, str]:
    """Put the new version in the champion's place, with all that the rule says against that."""
    before, version = names[CHAMPION], names[CHALLENGER]
    against = ruling_on(before, version, compared, None).against
    with registry_said_plainly():
        registry.move(
            CHAMPION,
            version,
            who=TRAINER,
            why=why,
            at=datetime.now(UTC),
            overrode=[reason.code.value for reason in against],
            instead_of=before,
        )
        return registry.names()


def _compared(
    registry: Registry, names: dict[str, str], done: Streamed, options: Options
) -> Comparison | None:
    """Keep a report on the new version against the champion, unless it is that itself."""
    jobs = jobs_for(options.jobs or cpu_count(), options.memory)
    at, how = datetime.now(UTC), Comparing(jobs=jobs)
    try:
        return compared_with_champion(
            registry, names[CHALLENGER], done.fitted, done.drawn, at=at, options=how
        )
    except RegistryError as problem:
        click.echo(f"warning: not compared with the champion: {problem}", err=True)
        return None


def _answer(manifest: Manifest, version: str) -> dict[str, Any]:
    return {
        "version": version,
        "research_only": is_research_only(manifest),
        "warnings": blind_spots(manifest),
        "thresholds": {
            tag: asdict(manifest.promise.thresholds(tag, **_USUAL))
            for tag in sorted(manifest.promise.languages)
            if tag != ANY
        },
        "data": list(manifest.data),
        "tasks": manifest.evaluation["tasks"],
    }


def _told(answer: dict[str, Any], out: Path) -> Iterable[str]:
    version, names = answer["version"], answer["names"]
    pointing = " and ".join(sorted(name for name, to in names.items() if to == version))
    yield f"version {version} is now {pointing} in {out}"
    if answer["research_only"]:
        yield "It was fitted to research-only data and must not be given away."
    yield ""
    yield f"  {'held out':<10}{'rows':>9}{'ROC AUC':>9}{'macro-F1':>10}{'recall @ 1 % FP':>17}"
    for head, task in answer["tasks"].items():
        metrics = task["all"]["metrics"]
        shown = [_figure(metrics[n]) for n in ("roc_auc", "macro_f1", "recall_at_fpr_1_percent")]
        yield f"  {head:<10}{task['all']['rows']:>9,}{shown[0]:>9}{shown[1]:>10}{shown[2]:>17}"
    yield ""
    yield f"  {'language':<10}{'spam queues at':>16}{'rejects at':>12}{'toxicity queues at':>20}"
    for tag, at in answer["thresholds"].items():
        spam, toxicity = at[Head.SPAM.value], at[Head.TOXICITY.value]
        shown = [threshold_text(x) for x in (spam["queue_at"], spam["reject_at"])]
        yield f"  {tag:<10}{shown[0]:>16}{shown[1]:>12}{threshold_text(toxicity['queue_at']):>20}"
    yield ""
    yield f"Its card: duyet models show {version} --models {out}"
    if names.get(CHAMPION) != version:
        yield (
            f"What it wins and costs: duyet models report {version} --against champion "
            f"--models {out} -o report.html"
        )
        yield f'To serve it: duyet models promote {version} --models {out} --why "…"'


def _figure(estimate: dict[str, Any]) -> str:
    return "–" if estimate["value"] is None else f"{estimate['value']:.3f}"


def _json(body: object) -> str:
    return json.dumps(body, ensure_ascii=False, indent=1, allow_nan=False)
