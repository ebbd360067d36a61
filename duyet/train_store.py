"""The command `duyet train` whole: to files as `training.train_command` has it, or to the store.

Knows the installation's store and its registry. How labels are weighed, the champion moved and a
version measured is in `training`.
"""

import copy
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import click
from joblib import cpu_count

from duyet.label_audit import OPERATOR, keep, looked_at
from duyet.own_comparison import compared_with_champion
from model.comparison import Comparison, Note
from model.decision import LabelledExample
from model.registry import (
    CHALLENGER,
    CHAMPION,
    SHIPPED,
    Manifest,
    Registry,
    RegistryError,
)
from service.commands.opening import installation
from service.storage.erasure import Erasure, Erasures
from service.storage.jobs import Jobs
from service.storage.label_findings import FindingKind, LabelFindings
from training.card import card_of, is_research_only
from training.contenders import Options as Comparing
from training.fit import NotEnough
from training.label_report import label_report
from training.memory import jobs_to_move, room_for_labels
from training.models_option import own_models, registry_to_move
from training.own_fit import OWN, OwnRecipe
from training.own_version import STAGES, OwnVersion, own_version
from training.progress import Tell, shown, write_line
from training.rehearsal import own_texts
from training.resolving import Reliance, Resolved, resolved
from training.taking import taken
from training.train_command import CARD, blind_spots, size
from training.train_command import train as train_on_files

ONLY_WITH_FILES = {
    "recipe_name": "--recipe",
    "research": "--research",
    "promote": "--promote",
    "why": "--why",
    "skip_bad": "--skip-bad",
    "work": "--work",
    "search": "--search",
    "cluster": "--cluster",
}
"""Options that say something of a fit to files alone."""


STDIN = 0

ON_ALL_CORES = Comparing(jobs=-1)


@dataclass(frozen=True, slots=True)
class Gone:
    """How many comments of people who were erased are gone since some version came.

    So many of them were `labelled`: versions since then may have been fitted to these, and none
    is among the labels of the next.
    """

    comments: int = 0
    labelled: int = 0

    @property
    def written(self) -> dict[str, int]:
        """As a recipe has it; nothing where nobody is gone."""
        if not self.comments:
            return {}
        return {"erased": self.labelled, "erased_comments": self.comments}

    @property
    def notes(self) -> tuple[Note, ...]:
        """As a comparison tells it, which is made anew when a training gives the same version."""
        told = {"comments": self.comments, "labelled": self.labelled}
        return (Note("erased", told),) if self.comments else ()


@dataclass(frozen=True, slots=True)
class Trained:
    """A version that was added as challenger, and where the registry's names point then."""

    version: str
    own: OwnVersion
    names: dict[str, str]
    comparison: Comparison | None


def train_from_store(  # noqa: PLR0913  each is a part of what is moved, or of how
    examples: Sequence[LabelledExample],
    labels: Resolved,
    registry: Registry,
    recipe: OwnRecipe = OWN,
    how: Comparing = ON_ALL_CORES,
    *,
    rehearsed: Sequence[LabelledExample] | None = None,
    progress: Tell = lambda _, __: None,
    erasures: Sequence[Erasure] = (),
    reliance: Reliance | None = None,
) -> Trained:
    """Move the champion by what an installation's people said; add that as challenger.

    `examples` are that as it came, `labels` the same held against each other. `how` is for the
    comparison with the champion, its jobs for all of it; `rehearsed` are the project's own texts
    unless others are given. Of the `erasures` those since its parent came are told in its card and
    report. `reliance` is by which `labels` were weighed.

    Raises NotEnough, and RegistryError where the version to move does not load.
    """
    home, base = base_of(registry)
    own = own_version(
        labels,
        home.load(base),
        home.manifest(base),
        recipe,
        rehearsed=rehearsed,
        jobs=how.jobs,
        progress=progress,
    )
    gone = gone_since(registry, base, erasures)
    recipe_told = {**own.manifest.recipe, **gone.written}
    own = replace(own, manifest=replace(own.manifest, recipe=recipe_told))
    version = registry.add(own.manifest, own.moved.final.table, extra={CARD: card_of(own.manifest)})
    why = f"{base} moved by {len(own.examples):,} labels"
    registry.move(CHALLENGER, version, who="duyet train", why=why, at=datetime.now(UTC))
    how = replace(how, told=lambda done: progress("comparing", done))
    notes = (*gone.notes, *_distrusted(reliance))
    comparison = compared_with_champion(
        registry, version, own, examples, how, notes, reliance=reliance
    )
    progress("comparing", 1.0)
    return Trained(version, own, registry.names(), comparison)


def _distrusted(reliance: Reliance | None) -> tuple[Note, ...]:
    accounts = {(kind, who) for _, kind, who in reliance or ()}
    return (Note("distrusted", {"accounts": len(accounts)}),) if accounts else ()


def gone_since(registry: Registry, version: str, erasures: Sequence[Erasure]) -> Gone:
    """What was erased since a version came: since a name first pointed at it.

    All of it where no name did. Raises RegistryError as the registry does.
    """
    moves = [datetime.fromisoformat(m["at"]) for m in registry.moves() if m["to"] == version]
    since = min(moves, default=None)
    gone = [erasure for erasure in erasures if since is None or erasure.at > since]
    return Gone(sum(e.comments for e in gone), sum(e.labelled for e in gone))


def base_of(registry: Registry) -> tuple[Registry, str]:
    """The version that the champion is or was moved from, and where it lies.

    Never one that labels moved: to move that by the same labels again would count them twice,
    and what is held out of the fit would not be held out of what it starts from. Raises
    RegistryError where it is neither in the registry nor the shipped one.
    """
    version = registry.resolve(CHAMPION)
    parent = registry.manifest(version).recipe.get("parent")
    if parent is None:
        return registry, version
    shipped = Registry(SHIPPED)
    home = registry if parent in registry.versions() else shipped
    return home, home.resolve(str(parent))


@click.command(
    "train",
    epilog="""\b
Examples:
  duyet train                                  move the champion by what people here decided
  duyet train --progress json                  the same for a machine, a line for each step
  duyet train labelled/*.jsonl.gz --out models
  duyet export labels | duyet train - base.jsonl.gz --out var/models

Then: duyet models show challenger""",
)
@click.option(
    "--no-attacks",
    is_flag=True,
    help="Without FILE, leave the table of disguises out of the report on it: half as long.",
)
@click.option("--ends-with-input", is_flag=True, hidden=True)  # for a service that starts it
@click.pass_context
def train(
    context: click.Context,
    /,
    *,
    form: str,
    no_attacks: bool,
    ends_with_input: bool,
    **options: Any,
) -> None:
    """Fit a model, and add it to a registry as `challenger`.

    Without FILE, to the installation's own labels, which are what its moderators decided, its
    sites reported and its imports said. They move the champion, as far as so many can; the
    project's own texts hold it in place elsewhere. Fifty are a beginning: at least five of
    spam and five of ham.

    With FILE, from scratch. A FILE holds a JSON object a line (`text`, `label`: spam, ham,
    toxic or clean, and if known `group`, `source`, `lang`; docs/training.md has all keys),
    plain or gzip; `-` is standard input. Both tasks need examples of both labels.

    Figures and thresholds come from examples whose `group` the judging fit has not seen. They
    are written into the version's card. The same rows in the same order, recipe and seed give
    the same bytes of weights, whatever --jobs.
    """
    if ends_with_input:
        Thread(target=_end_with_input, daemon=True).start()
    if options["files"]:
        if options["out"] is None:
            raise click.UsageError("--out says where a model fitted to FILE goes", context)
        context.invoke(train_on_files, form=form, **options)
        return
    for name, option in ONLY_WITH_FILES.items():
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError(f"{option} goes with FILE", context)
    _from_store(options, form, attacks=not no_attacks)


def _end_with_input() -> None:
    """End this process and those that work for it when nothing holds its input any more."""
    # Not by sys.stdin: an interpreter that ends while somebody reads that aborts.
    while os.read(STDIN, 4096):
        pass
    os.killpg(os.getpgrp(), signal.SIGTERM)


def _params() -> list[click.Parameter]:
    """Those of a fit to files, none of them required: what is missing means the store."""
    theirs = [copy.copy(param) for param in train_on_files.params]
    for param in theirs:
        param.required = False
        if param.name == "out":
            param.help = (
                "The registry's directory, made if need be; without FILE the service's.  "
                "[default: DUYET_MODELS, else models in DUYET_DATA_DIR]"
            )
    return theirs


train.params = [*_params(), *train.params]


def _from_store(options: dict[str, Any], form: str, *, attacks: bool) -> None:
    root = options["out"] or own_models()
    recipe = OWN if options["seed"] is None else replace(OWN, seed=options["seed"])
    memory = options["memory"]
    jobs = jobs_to_move(options["jobs"] or cpu_count(), memory)
    with shown(form, STAGES) as progress:
        with installation() as at:
            began = at.store.now()
            room = room_for_labels(jobs, memory)
            examples, left = taken(at.store.labelled(), room, seed=recipe.seed)
            erasures = Erasures(at.store).since(None, None)
            labels = resolved(examples, jobs=1)
            progress("labels", 0.2)
            texts = own_texts()
            audit = looked_at(labels, jobs=jobs, texts=texts)
            keep(audit.body(), at.store)
            if not left:
                findings = LabelFindings(at.store)
                report = label_report(examples, labels, list(findings.said_again(None)))
                findings.keep(FindingKind.REPORT, report, by=OPERATOR)
        if audit.reliance:
            # Whom everybody else contradicts is relied on less, which changes who else counts.
            labels = resolved(examples, reliance=audit.reliance, jobs=1)
        if left:
            left_out = {
                **labels.left_out,
                f"that {size(memory)} of memory have no room for": left,
            }
            labels = replace(labels, left_out=left_out)
        progress("labels", 1.0)
        try:
            registry = registry_to_move(options["out"])
            how = Comparing(jobs=jobs) if attacks else Comparing(jobs=jobs, attacked=0)
            trained = train_from_store(
                examples,
                labels,
                registry,
                recipe,
                how,
                rehearsed=texts,
                progress=progress,
                erasures=erasures,
                reliance=audit.reliance,
            )
        except (NotEnough, RegistryError) as problem:
            raise click.ClickException(str(problem)) from None
    answer = {"registry": str(root), "names": trained.names, **_answer(trained)}
    answer["suspect"] = len(audit.looked.suspects)
    answer["distrusted"] = audit.body()["reliance"]
    if options["out"] is None:
        with installation() as at:  # what is new since the last training counts from this one
            Jobs(at.store).noted(began, by=OPERATOR, result=answer)
    for warning in answer["warnings"]:
        click.echo(f"warning: {warning}", err=True)
    if form == "json":
        write_line({"stage": "added", "done": 1.0, "seconds_left": 0} | answer)
    elif options["as_json"]:
        click.echo(json.dumps(answer, ensure_ascii=False, indent=1, allow_nan=False))
    else:
        click.echo("\n".join(_told(answer, root)))


def _answer(trained: Trained) -> dict[str, Any]:
    manifest: Manifest = trained.own.manifest
    return {
        "version": trained.version,
        "parent": manifest.recipe["parent"],
        "moved": manifest.recipe["moved"],
        "labels": dict(sorted(Counter(e.label.word for e in trained.own.examples).items())),
        "left_out": manifest.recipe["left_out"],
        "erased_comments": manifest.recipe.get("erased_comments", 0),
        "research_only": is_research_only(manifest),
        "compared": trained.comparison is not None,
        "warnings": blind_spots(manifest),
    }


def _told(answer: dict[str, Any], root: Path) -> Iterator[str]:
    labels = ", ".join(f"{count:,} {word}" for word, count in answer["labels"].items())
    version, moved = answer["version"], " and ".join(answer["moved"])
    yield f"version {version} is now {CHALLENGER} in {root}"
    yield f"It is {answer['parent']}, its head for {moved} moved by {labels}."
    for why, count in answer["left_out"].items():
        yield f"{count:,} labels were left out: {why}."
    if suspect := answer["suspect"]:
        yield (
            f"{suspect:,} of the labels are probably wrong; those decide what may be promised. "
            "Look at them again, at /labels or by: duyet labels audit"
        )
    for one in answer["distrusted"]:
        yield (
            f"{one['who']} ({one['kind']}) is contradicted far more than others: labels on "
            f"{one['head']} weigh {100 * one['weighs']:.0f} % of what they would."
        )
    if erased := answer["erased_comments"]:
        yield f"{erased:,} comments of people who were erased are gone since that came."
    if answer["research_only"]:
        yield "It comes from research-only data and must not be given away."
    yield ""
    yield f"Its card: duyet models show {version} --models {root}"
    if answer["compared"]:
        yield (
            f"What it wins and costs: duyet models report {version} --against champion "
            f"--models {root} -o report.html"
        )
    else:
        yield "It is not compared with the champion, which has seen all of these labels."
    yield f'To serve it: duyet models promote {version} --models {root} --why "…"'
