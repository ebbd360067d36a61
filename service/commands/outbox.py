"""The command `duyet outbox`: what is still to be told to sites, and telling it again."""

import click

from service.commands.opening import installation, json_option, json_text, shown, table

MOST = 100


@click.command(
    "outbox",
    epilog="""\b
Examples:
  duyet outbox                what waits to be told, and what was given up
  duyet outbox --retry        tell again what was given up""",
)
@click.option("--retry", is_flag=True, help="Tell again, at once, what was given up.")
@json_option
def outbox(*, retry: bool, as_json: bool) -> None:
    """List what sites were not told yet: late verdicts, with why, the first hundred."""
    with installation() as at:
        retried = at.store.retry_dead_deliveries() if retry else 0
        found = at.store.undelivered(limit=MOST)
        names = {site.id: site.name for site in at.store.sites()}
    rows = [
        {
            "site": names.get(one.site_id, one.site_id),
            "comment": one.comment_id,
            "state": one.state,
            "attempts": one.attempts,
            "due_at": one.due_at.isoformat(timespec="seconds"),
            "problem": one.problem,
        }
        for one in found
    ]
    if as_json:
        click.echo(json_text({"retried": retried, "deliveries": rows}))
        return
    if retry:
        click.echo(f"{retried} to be told again", err=True)
    if not rows:
        click.echo("Nothing waits.")
        return
    titles = ("SITE", "COMMENT", "STATE", "ATTEMPTS", "DUE", "PROBLEM")
    click.echo(table(titles, [tuple(shown(str(value)) for value in row.values()) for row in rows]))
