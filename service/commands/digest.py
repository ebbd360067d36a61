"""The command `duyet digest`: send the digests that are due, or show what they would say."""

import click

from service.commands.opening import installation, shown
from service.digest import DigestPost
from service.storage.digests import Digests, Parcel


@click.command(
    "digest",
    epilog="""\b
Examples:
  duyet digest --dry-run      what would be sent to whom now; nothing is sent
  duyet digest                send what is due, as the running service does""",
)
@click.option("--dry-run", is_flag=True, help="Print every digest as of now; send nothing.")
def digest(*, dry_run: bool) -> None:
    """Send by mail what waits, in numbers, to the moderators who asked for it on /digest.

    The running service does so by itself, each digest once whichever process is first. Addresses
    are shown masked.
    """
    with installation() as at:
        mailer = at.settings.mailer
        post = DigestPost(at.store, mailer, at.settings.own_url)
        if dry_run:
            parcels = Digests(at.store).everybody()
            printed = [_printed(post, one) for one in parcels]
            click.echo("\n\n".join(printed) or "Nobody asked for one.")
            return
        if mailer is None:
            raise click.ClickException("set DUYET_SMTP_URL and DUYET_MAIL_FROM first")
        click.echo(f"{post.send_due()} sent")


def _printed(post: DigestPost, parcel: Parcel) -> str:
    written = post.written(parcel)
    note = "" if written.is_wanted else "\n(would not be sent: there is nothing to tell)"
    who = shown(parcel.moderator.name)
    return (
        f"To: {who} <{shown(parcel.address)}>{note}\nSubject: {written.subject}\n\n{written.text}"
    )
