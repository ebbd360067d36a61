"""The commands `duyet queue …` and `duyet sign-in`: what waits for a person, and who may see it."""

from datetime import timedelta

import click

from model.addresses import mask_addresses
from model.decision import Decision, RejectReason
from model.outcome import Outcome
from model.reasons import sentence
from service.commands.opening import (
    NAME,
    installation,
    json_option,
    json_text,
    shown,
    site_named,
    table,
)
from service.first_start import LINK_LIFETIME, admin_of, sign_in_url
from service.storage import (
    EVERY_SITE,
    AlreadyDecided,
    Moderator,
    NameTaken,
    QueueItem,
    Role,
    Store,
    StoredComment,
    UnknownComment,
    utc_now,
)
from service.storage.accounts_people import People
from service.storage.finding import Finding, Order

OPERATOR = "operator"
"""Who decides on the command line when nobody else is named."""

_PREVIEW = 60


@click.group(
    "queue",
    epilog="""\b
Examples:
  duyet queue list --order riskiest --limit 5
  duyet queue list --site blog --json | jq -r '.items[].id'
  duyet queue decide ID accept
  duyet queue decide ID reject --reason spam""",
)
def queue() -> None:
    """List what waits for a person, and decide.

    The queue page (`duyet serve`, then `duyet sign-in`) does the same with more comfort.
    """


@queue.command("list")
@click.option("--site", "site_name", type=NAME, metavar="NAME", help="Only this site's comments.")
@click.option(
    "--order",
    type=click.Choice([order.value for order in Order]),
    default=Order.OLDEST.value,
    show_default=True,
    help="Which comes first.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="How many at the most.",
)
@json_option
def list_queue(site_name: str | None, order: str, limit: int, *, as_json: bool) -> None:
    """List what waits, with its scores and the gravest reason. Addresses are masked."""
    with installation() as at:
        sites = {site.id: site.name for site in at.store.sites()}
        only = [site_named(at.store, site_name).id] if site_name else None
        finding = Finding(at.store)
        if order != Order.OLDEST.value:
            finding.catch_up_lately()
        page = finding.page(only, Order(order), limit=limit)
        waiting = at.store.queue_size(only)
    if as_json:
        items = [_item_body(item, sites) for item in page.items]
        click.echo(json_text({"waiting": waiting, "items": items}))
        return
    if not page.items:
        click.echo("Nothing waits.")
        return
    titles = ("ID", "SITE", "SPAM", "TOXIC", "WHY", "COMMENT")
    click.echo(table(titles, [_item_row(item, sites) for item in page.items]))
    if waiting > len(page.items):
        click.echo(f"{waiting:,} wait; --limit shows more.", err=True)


@queue.command("decide")
@click.argument("comment_id", metavar="ID")
@click.argument("outcome", type=click.Choice([Outcome.ACCEPT.word, Outcome.REJECT.word]))
@click.option(
    "--reason",
    type=click.Choice([reason.value for reason in RejectReason]),
    help="Why it is rejected. Only spam and toxic teach the model anything.",
)
@click.option(
    "--moderator",
    type=NAME,
    metavar="NAME",
    help=f"Which moderator decides.  [default: {OPERATOR}]",
)
@json_option
def decide(
    comment_id: str, outcome: str, reason: str | None, moderator: str | None, *, as_json: bool
) -> None:
    """Accept or reject the comment ID, whatever the machine said of it.

    A decision that somebody took before stands, and is told.
    """
    if (outcome == Outcome.REJECT.word) != (reason is not None):
        raise click.UsageError(
            "a rejection needs --reason" if reason is None else "an acceptance has no --reason"
        )
    with installation() as at:
        who = moderator_named(at.store, moderator).name if moderator else OPERATOR
        decision = Decision(
            Outcome.of(outcome), RejectReason(reason) if reason else None, who, utc_now()
        )
        decided = _decided(at.store, comment_id, decision)
    body = {"id": decided.id, "outcome": outcome, "reason": reason, "moderator": who}
    click.echo(json_text(body) if as_json else f"{outcome}: {decided.id}")


def _decided(store: Store, comment_id: str, decision: Decision) -> StoredComment:
    try:
        return store.decide(None, comment_id, decision)
    except AlreadyDecided as first:
        standing = first.standing
        why = f" ({standing.reason})" if standing.reason else ""
        raise click.ClickException(
            f"{shown(standing.moderator)} decided first, "
            f"{standing.at:%Y-%m-%d %H:%M} UTC: {standing.outcome.word}{why}"
        ) from None
    except UnknownComment:
        raise click.ClickException(
            "there is no comment of that id; `duyet queue list` shows what waits"
        ) from None


@click.command(
    "sign-in",
    epilog="""\b
Examples:
  duyet sign-in                                for the admin
  duyet sign-in --name lan --add moderator     a new moderator, with a first link
  duyet sign-in --name an --add admin --site blog     one who looks after a site""",
)
@click.option("--name", type=NAME, metavar="NAME", help="Whose link.  [default: the admin's]")
@click.option(
    "--add",
    "role",
    type=click.Choice([role.value for role in Role]),
    help="Make NAME somebody new: who reads, who decides as well, or an admin.",
)
@click.option(
    "--site",
    "site_name",
    type=NAME,
    metavar="SITE",
    help="With --add: on this site alone, whose admins look after the account.  [default: all]",
)
@json_option
def sign_in(name: str | None, role: str | None, site_name: str | None, *, as_json: bool) -> None:
    """Print a link that signs a moderator in to the queue page, once, within 24 hours.

    It is the way in when nobody else can open one. An account with one-time codes is asked
    for one with a link as well; `duyet people reset` takes them away.
    """
    if role and not name:
        raise click.UsageError("--add needs --name")
    if site_name and not role:
        raise click.UsageError("--site needs --add")
    with installation() as at:
        who = _whose(at.store, name, role, site_name)
        if any(one.id == who.id and one.is_disabled for one in People(at.store).all(None)):
            raise click.ClickException(
                f"the account of {shown(who.name)} is disabled; `duyet people enable` lets it in"
            )
        link = sign_in_url(at.settings, at.store.new_sign_in_link(who.id, LINK_LIFETIME))
    if as_json:
        body = {"moderator": who.name, "role": who.role or role, "link": link}
        click.echo(json_text(body | {"valid_seconds": int(LINK_LIFETIME.total_seconds())}))
        return
    click.echo(link)
    hours = LINK_LIFETIME // timedelta(hours=1)
    click.echo(f"For {shown(who.name)}. It works once, within {hours} hours.", err=True)


def _whose(store: Store, name: str | None, role: str | None, site_name: str | None) -> Moderator:
    if name is None:
        return admin_of(store)
    if role is None:
        return moderator_named(store, name)
    site_id = site_named(store, site_name).id if site_name else EVERY_SITE
    try:
        return store.add_moderator(name, Role(role), site_id=site_id)
    except NameTaken:
        raise click.ClickException(
            "that name is taken, by a moderator or by what else decides here"
        ) from None


def moderator_named(store: Store, name: str) -> Moderator:
    """The moderator of that name. Raises click's error, which says what names there are."""
    found = store.moderators()
    for moderator in found:
        if moderator.name == name:
            return moderator
    known = ", ".join(shown(moderator.name) for moderator in found) or "none"
    raise click.ClickException(
        f"there is no moderator of that name; there are: {known}. "
        "`duyet sign-in --name NAME --add moderator` makes one"
    )


def _item_row(item: QueueItem, sites: dict[str, str]) -> tuple[str, ...]:
    comment = item.comment
    scores = comment.verdict.scores
    reasons = comment.verdict.reasons
    return (
        comment.id,
        shown(sites.get(comment.site_id, ""), width=20),
        f"{scores.spam:.2f}" if scores else "–",
        f"{scores.toxicity:.2f}" if scores else "–",
        reasons[0].code if reasons else item.why.value,
        shown(comment.submission.content, width=_PREVIEW),
    )


def _item_body(item: QueueItem, sites: dict[str, str]) -> dict[str, object]:
    comment, verdict = item.comment, item.comment.verdict
    author = comment.submission.author
    scores = verdict.scores
    return {
        "id": comment.id,
        "site": sites.get(comment.site_id, ""),
        "why": item.why.value,
        "received_at": comment.received_at.isoformat(),
        "waiting_since": comment.waiting_since.isoformat() if comment.waiting_since else None,
        "scores": {"spam": scores.spam, "toxicity": scores.toxicity} if scores else None,
        "reasons": [
            {
                "code": reason.code,
                "message": _message(reason.code),
                "field": reason.field,
                "evidence": reason.evidence,
            }
            for reason in verdict.reasons
        ],
        "author": {
            "name": shown(author.name),
            "email": comment.email_masked,
            "url": shown(author.url),
        },
        "content": mask_addresses(comment.submission.content),
        "permalink": shown(comment.submission.permalink),
    }


def _message(code: str) -> str:
    try:
        return sentence(code)
    except KeyError:  # stored by a version that had a rule which is gone
        return code
