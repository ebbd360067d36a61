"""The command `duyet lists …`: a site's words and domains, changed by whoever runs the service.

The same entries as on the page /rules, told in the same log, undone on that page. What a change
would do is tried there; here it is made.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TextIO

import click

from model.lists import MOST_ENTRIES, Act, Entry, EntryProblem, Kind, read_domain, read_word
from model.one_line import one_line
from service.commands.moderate import OPERATOR
from service.commands.opening import (
    NAME,
    Installation,
    installation,
    json_option,
    json_text,
    shown,
    site_named,
    table,
)
from service.storage import Site
from service.storage.rule_records import OF_LISTS, NewRule, RuleChange, RuleKind, StoredRule
from service.storage.site_rules import RuleBook

LONGEST_LINE = 4_000
LONGEST_WHY = 300

_site = click.argument("site_name", type=NAME, metavar="SITE")
_entries = click.argument("texts", nargs=-1, required=True, metavar="ENTRY...")
_kind = click.option(
    "--kind",
    type=click.Choice([one.value for one in Kind]),
    default=Kind.WORD.value,
    show_default=True,
    help="What it is.",
)
_why = click.option("--why", required=True, help="Why, for the log and whoever comes after.")


@click.group(
    "lists",
    epilog="""\b
Examples:
  duyet lists add blog casino 'vay tiền nhanh' --act reject --why spam
  duyet lists export blog > lists.jsonl && duyet lists import shop lists.jsonl --why alike""",
)
def lists() -> None:
    """Read and change the words and domains of a site.

    Every change is in the log, and can be undone on the page /rules.
    """


@lists.command("list")
@_site
@json_option
def list_entries(site_name: str, *, as_json: bool) -> None:
    """List what is in force on SITE, the newest first."""
    with installation() as at:
        found = _in_force(at, site_named(at.store, site_name))
    if as_json:
        click.echo(json_text({"entries": [_body(rule) for rule in found]}))
        return
    click.echo(table(("KIND", "ACT", "UNTIL", "BY", "ENTRY", "WHY"), [_row(one) for one in found]))


@lists.command("export")
@_site
def export_entries(site_name: str) -> None:
    """Print what is in force on SITE as JSON Lines, in order, for `duyet lists import`."""
    with installation() as at:
        found = _in_force(at, site_named(at.store, site_name))
    for rule in sorted(found, key=lambda one: (one.kind, one.key)):
        click.echo(json.dumps(_body(rule), ensure_ascii=False))


@lists.command("add")
@_site
@_entries
@_kind
@click.option(
    "--act",
    type=click.Choice([one.value for one in Act]),
    default=Act.QUEUE.value,
    show_default=True,
    help="What becomes of a comment; `trust` is for domains.",
)
@click.option("--address", "of_address", is_flag=True, help="Look in authors' addresses as well.")
@_why
@json_option
def add_entries(  # noqa: PLR0913  one for each option
    site_name: str,
    texts: Sequence[str],
    kind: str,
    act: str,
    why: str,
    *,
    of_address: bool,
    as_json: bool,
) -> None:
    """Add words or domains to SITE; one that is there already is replaced. All or none."""
    rules = [_read({"kind": kind, "act": act, "of_address": of_address, "text": t}) for t in texts]
    _say(_changed(site_name, why, add=rules, end=lambda _: False), as_json=as_json)


@lists.command("end")
@_site
@_entries
@_kind
@_why
@json_option
def end_entries(
    site_name: str, texts: Sequence[str], kind: str, why: str, *, as_json: bool
) -> None:
    """End words or domains of SITE. All or none."""
    wanted = {_read({"kind": kind, "act": Act.QUEUE.value, "text": text}).key for text in texts}

    def is_meant(rule: StoredRule) -> bool:
        return rule.kind.value == kind and rule.key in wanted

    _say(_changed(site_name, why, add=(), end=is_meant, ends=len(wanted)), as_json=as_json)


@lists.command("import")
@_site
@click.argument("file", type=click.File(encoding="utf-8"))
@_why
@json_option
def import_entries(site_name: str, file: TextIO, why: str, *, as_json: bool) -> None:
    """Add to SITE what `duyet lists export` wrote to FILE, `-` for standard input. All or none."""
    rules = [*rules_in(file)]
    if not rules:
        raise click.ClickException("there is no entry in it")
    _say(_changed(site_name, why, add=rules, end=lambda _: False), as_json=as_json)


# ------------------------------------------------------------------ steps


def _in_force(at: Installation, site: Site) -> list[StoredRule]:
    return RuleBook(at.store).listed([site.id], OF_LISTS)


def _changed(
    site_name: str,
    why: str,
    *,
    add: Sequence[NewRule],
    end: Callable[[StoredRule], bool],
    ends: int = 0,
) -> RuleChange:
    reason = one_line(why, longest=LONGEST_WHY)
    if not reason:
        raise click.BadParameter("must say something", param_hint="--why")
    with installation() as at:
        site, book = site_named(at.store, site_name), RuleBook(at.store)
        since = book.version(site.id)
        ending = [rule.id for rule in _in_force(at, site) if end(rule)]
        if len(ending) != ends:
            raise click.ClickException(
                f"nothing was changed: of {ends} entries {len(ending)} are in force"
            )
        return book.change_lists(site.id, add=add, end=ending, since=since, by=OPERATOR, why=reason)


def _say(change: RuleChange, *, as_json: bool) -> None:
    body = {"version": change.version, "added": change.made, "ended": change.ended}
    said = f"version {change.version}: {change.made} added, {change.ended} ended"
    click.echo(json_text(body) if as_json else said)


def rules_in(file: Iterable[str]) -> Iterator[NewRule]:
    """The entries that `duyet lists export` wrote, a line each. Raises click's error for others."""
    number = 0
    for number, line in enumerate(_lines(file), 1):
        if number > MOST_ENTRIES:
            raise click.ClickException(f"a site may have {MOST_ENTRIES} entries")
        if not line.strip():
            continue
        try:
            body = json.loads(line) if len(line) <= LONGEST_LINE else None
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise click.ClickException(f"line {number} is no JSON object")
        yield _read(body, where=f"line {number}: ")


def _lines(file: Iterable[str]) -> Iterator[str]:
    try:
        yield from file
    except UnicodeDecodeError:
        raise click.ClickException("the file is not UTF-8") from None


def _read(body: dict[str, object], *, where: str = "") -> NewRule:
    """The entry of a body as a rule. Raises click's error, which says what is wrong with it."""
    kind, act, text, until = (body.get(name) for name in ("kind", "act", "text", "expires_at"))
    of_address = body.get("of_address", False)
    kinds, acts = {one.value for one in Kind}, {one.value for one in Act}
    is_told = isinstance(kind, str) and isinstance(act, str) and isinstance(text, str)
    if not is_told or kind not in kinds or act not in acts:
        raise click.ClickException(f"{where}kind, act and text must say what it is")
    if not isinstance(of_address, bool):
        raise click.ClickException(f"{where}of_address must be true or false")
    entry = _entry(Kind(str(kind)), Act(str(act)), str(text), where, of_address=of_address)
    scope = "address" if entry.of_address else ""
    return NewRule(RuleKind(entry.kind), entry.text, entry.act, scope, "", _until(until, where))


def _entry(kind: Kind, act: Act, text: str, where: str, *, of_address: bool) -> Entry:
    if kind is Kind.WORD and act is Act.TRUST:
        raise click.ClickException(f"{where}only a domain can be trusted")
    try:
        kept = read_word(text) if kind is Kind.WORD else read_domain(text, act)
    except EntryProblem as problem:
        said = shown(text, width=60)
        raise click.ClickException(f"{where}{said!r} is no {kind}: {problem.code}") from None
    return Entry(kind, kept, act, of_address and kind is Kind.DOMAIN)


def _until(told: object, where: str) -> datetime | None:
    if told is None:
        return None
    try:
        at = datetime.fromisoformat(str(told))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise click.ClickException(f"{where}expires_at must be a time with its zone, or null")
    return at.astimezone(UTC)


def _body(rule: StoredRule) -> dict[str, object]:
    return {
        "kind": rule.kind.value,
        "act": rule.action,
        "text": rule.key,
        "of_address": rule.scope == "address",
        "expires_at": None if rule.expires_at is None else rule.expires_at.isoformat(),
    }


def _row(rule: StoredRule) -> tuple[str, ...]:
    until = "–" if rule.expires_at is None else f"{rule.expires_at:%Y-%m-%d %H:%M}"
    by, why = shown(rule.made_by, width=20), shown(rule.why, width=40)
    return rule.kind.value, rule.action, until, by, shown(rule.key, width=60), why
