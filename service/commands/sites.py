"""The commands `duyet sites …`: add and list, renew keys, set policies, reset what was learnt."""

import json
import math
import re
import sys
from datetime import timedelta
from typing import TextIO

import click

from model.policy import Policy
from service.commands.opening import (
    NAME,
    installation,
    json_option,
    json_text,
    shown,
    site_named,
    table,
)
from service.commands.policy_file import PolicyProblems, changed
from service.settings import RATES, is_rate
from service.storage import (
    AcceptSpoken,
    AkismetChoices,
    CoralChoices,
    NameTaken,
    QueueSpoken,
    Site,
    SiteKey,
    Store,
    WithheldSpoken,
    home_of,
    utc_now,
)

_DURATION = re.compile(r"([0-9]{1,6})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_LONGEST = timedelta(days=365)


class Duration(click.ParamType[timedelta]):
    """A length of time such as 30m, 24h or 7d, at most a year; 0 for none."""

    name = "duration"

    def convert(
        self,
        value: str | timedelta,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> timedelta:
        """The length of time."""
        if isinstance(value, timedelta):
            return value
        if value == "0":
            return timedelta()
        match = _DURATION.fullmatch(value)
        length = int(match[1]) * _UNITS[match[2]] if match else None
        if length is None or length > _LONGEST:
            self.fail("must be a number with m, h or d, such as 24h, at most 365d", param, ctx)
        return length


USUAL = "usual"


class Rate(click.ParamType[float | str]):
    """Comments a second, 0 for no limit; USUAL for that of the setting."""

    name = "rate"

    def convert(
        self,
        value: str | float,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float | str:
        """The rate, or USUAL."""
        if value == USUAL:
            return USUAL
        try:
            rate = float(value)
        except ValueError:
            rate = math.nan
        if not is_rate(rate):
            self.fail(f"must be {RATES}, or {USUAL}", param, ctx)
        return rate


@click.group(
    "sites",
    epilog="""\b
Examples:
  duyet sites add blog                         a new site; its key is shown this once
  duyet sites list
  duyet sites rotate-key blog --keep-old-for 24h
  duyet sites forget blog                      unlearn what its decisions taught
  duyet sites limit blog 50                    at most 50 comments a second, 500 at once
  duyet sites akismet blog --home https://blog.example --queue recheck
  duyet sites policy blog > policy.json        what is in force
  echo '{"audit_rate": 0.02}' | duyet sites policy blog -""",
)
def sites() -> None:
    """Add and list sites, renew their keys, show and set their policies, reset what they taught."""


@sites.command("add")
@click.argument("name", type=NAME)
@json_option
def add(name: str, *, as_json: bool) -> None:
    """Add a site and print its key, which is shown this once.

    The site sends the key with every comment, as `Authorization: Bearer KEY`.
    """
    with installation() as at:
        try:
            site, key = at.store.add_site(name, Policy())
        except NameTaken:
            raise click.ClickException("there is a site of that name already") from None
        akismet_key = at.store.new_akismet_key(site.id)
    if as_json:
        click.echo(json_text(_keys_told(site, key) | {"akismet_key": akismet_key}))
        return
    _tell_key(site, key, machine=False)
    click.echo(f"Its key for clients of Akismet: {akismet_key}", err=True)


@sites.command("list")
@json_option
def list_sites(*, as_json: bool) -> None:
    """List the sites: policy in force, how their keys begin, what waits."""
    with installation() as at:
        found = [(site, _keys_in_use(at.store, site)) for site in at.store.sites()]
        waiting = [at.store.queue_size([site.id]) for site, _ in found]
    if as_json:
        click.echo(_listed(found, waiting))
        return
    if not found:
        click.echo("There are no sites; `duyet sites add NAME` makes one.")
        return
    rows = [
        (shown(site.name), site.policy_version, f"{count:,}", ", ".join(map(_key_text, keys)))
        for (site, keys), count in zip(found, waiting, strict=True)
    ]
    click.echo(table(("SITE", "POLICY", "WAITING", "KEYS"), rows))


@sites.command("rotate-key")
@click.argument("name", type=NAME)
@click.option(
    "--keep-old-for",
    type=Duration(),
    default="0",
    help="How long the old key still works, such as 24h.  [default: not at all]",
)
@json_option
def rotate_key(name: str, *, keep_old_for: timedelta, as_json: bool) -> None:
    """Print a new key for a site; the old one ends, at once or after a while."""
    with installation() as at:
        site = site_named(at.store, name)
        key = at.store.rotate_key(site.id, keep_old_for=keep_old_for)
    _tell_key(site, key, as_json)


@sites.command("forget")
@click.argument("name", type=NAME)
@json_option
def forget(name: str, *, as_json: bool) -> None:
    """Let the decisions so far count no more for how this site's comments are judged.

    The service may run meanwhile: from the next comment on, the site is judged as if nothing
    had been decided on it yet. The decisions stay on record, and stay labels for training.
    To stop learning altogether, set learn_from_decisions to false in the site's policy.
    """
    with installation() as at:
        site = site_named(at.store, name)
        change = at.store.forget_decisions(site.id)
    body = {"id": site.id, "name": site.name, "change": change}
    click.echo(json_text(body) if as_json else f"forgot what was learnt of {shown(site.name)}")


@sites.command("limit")
@click.argument("name", type=NAME)
@click.argument("rate", type=Rate(), required=False)
@json_option
def limit(name: str, rate: float | str | None, *, as_json: bool) -> None:
    """Show how many comments a second a site may send, or with RATE set it.

    RATE is a number of comments a second, 0 for no limit, or `usual` for DUYET_RATE_LIMIT. It
    counts within two seconds, on every machine, and the log of events keeps what it was.
    """
    with installation() as at:
        site = site_named(at.store, name)
        if rate is not None:
            own = None if isinstance(rate, str) else rate
            site = at.store.set_rate_limit(site.id, own)
        usual = at.settings.rate_limit
    in_force = usual if site.rate_limit is None else site.rate_limit
    if as_json:
        body = {"own": site.rate_limit, "in_force": in_force}
        click.echo(json_text({"id": site.id, "name": site.name, **body}))
        return
    whose = ", as DUYET_RATE_LIMIT says" if site.rate_limit is None else ""
    click.echo((f"{in_force:g} comments a second" if in_force else "no limit") + whose)


class Home(click.ParamType[str]):
    """The address of a site, with a scheme or without."""

    name = "url"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address without scheme and last slash."""
        home = home_of(value)
        if not home:
            self.fail("must be an address such as https://blog.example/news", param, ctx)
        return home


@sites.command("akismet")
@click.argument("name", type=NAME)
@click.option("--new-key", is_flag=True, help="Make a key, which ends the one before at once.")
@click.option(
    "--queue",
    type=click.Choice([spoken.value for spoken in QueueSpoken]),
    help="What clients are told of a comment that waits (docs/akismet.md).",
)
@click.option(
    "--home",
    "homes",
    type=Home(),
    multiple=True,
    help="The site's address, again for each: no other may use the key, only it is called back.",
)
@click.option("--discard/--no-discard", default=None, help="Let clients drop blatant spam unseen.")
@click.option(
    "--private/--no-private", default=None, help="Call back to addresses of the local network."
)
@json_option
def akismet(  # noqa: PLR0913  one for each option
    name: str,
    *,
    new_key: bool,
    queue: str | None,
    homes: tuple[str, ...],
    discard: bool | None,
    private: bool | None,
    as_json: bool,
) -> None:
    """Show or change how a site is served in Akismet's protocol; a new key is shown this once."""
    with installation() as at:
        site = site_named(at.store, name)
        choices = at.store.akismet_choices(site.id)
        key = at.store.new_akismet_key(site.id) if new_key or choices is None else None
        before = choices or AkismetChoices()
        after = AkismetChoices(
            queue=QueueSpoken(queue) if queue else before.queue,
            homes=homes or before.homes,
            discards=before.discards if discard is None else discard,
            reaches_private=before.reaches_private if private is None else private,
        )
        if after != before:
            at.store.set_akismet_choices(site.id, after)
    told: dict[str, object] = {"akismet_key": key} if key else {}
    told |= {"queue": after.queue.value, "homes": [*after.homes]}
    told |= {"discard": after.discards, "private": after.reaches_private}
    if as_json:
        click.echo(json_text(told))
        return
    for title, value in told.items():
        said = ", ".join(value) or "any" if isinstance(value, list) else str(value).lower()
        click.echo(f"{title.replace('_', ' ')}: {said}")


@sites.command("coral")
@click.argument("name", type=NAME)
@click.option(
    "--secret", help="The signing secret that Coral shows of the phase; `-` reads it from stdin."
)
@click.option(
    "--accept",
    type=click.Choice([spoken.value for spoken in AcceptSpoken]),
    help="What Coral is told of a comment that is accepted (docs/coral.md).",
)
@click.option(
    "--queue",
    type=click.Choice([spoken.value for spoken in WithheldSpoken]),
    help="In which of Coral's queues a comment waits.",
)
@json_option
def coral(
    name: str, *, secret: str | None, accept: str | None, queue: str | None, as_json: bool
) -> None:
    """Show or change how Coral's external moderation phase is answered for a site.

    Coral makes the secret; give it here again whenever it was replaced there.
    """
    if secret is not None:
        secret = sys.stdin.readline().strip() if secret == "-" else secret.strip()
        if not secret:
            raise click.ClickException("the secret is empty")
    with installation() as at:
        site = site_named(at.store, name)
        if secret is not None:
            at.store.set_coral_secret(site.id, secret)
        known = at.store.coral_site(site.id)
        if known is None:
            raise click.ClickException("give the phase's signing secret first, with --secret")
        after = CoralChoices(
            accept=AcceptSpoken(accept) if accept else known.choices.accept,
            queue=WithheldSpoken(queue) if queue else known.choices.queue,
        )
        if after != known.choices:
            at.store.set_coral_choices(site.id, after)
        url = f"{at.settings.own_url}/coral/v1/external-moderation/{site.id}"
    told = {"url": url, "accept": after.accept.value, "queue": after.queue.value}
    if as_json:
        click.echo(json_text(told))
        return
    for title, value in told.items():
        click.echo(f"{title}: {value}")


@sites.command("perspective")
@click.argument("name", type=NAME)
@click.option(
    "--store/--no-store",
    "stores",
    default=None,
    help="Keep comments that are analysed, unless a call says doNotStore.",
)
@json_option
def perspective(name: str, *, stores: bool | None, as_json: bool) -> None:
    """Show or change whether comments that Perspective's clients ask about are kept."""
    with installation() as at:
        site = site_named(at.store, name)
        if stores is not None:
            at.store.set_perspective_stores(site.id, stores=stores)
        in_force = at.store.perspective_stores(site.id)
    click.echo(json_text({"store": in_force}) if as_json else f"store: {str(in_force).lower()}")


@sites.command("policy")
@click.argument("name", type=NAME)
@click.argument("file", type=click.File(encoding="utf-8"), required=False)
def policy(name: str, file: TextIO | None) -> None:
    """Show a site's policy as JSON, or with FILE (`-` is standard input) put one in force.

    What FILE leaves out stays as it is. Every problem of a FILE is named, and then nothing
    changes. Earlier policies are kept: each verdict names the one it was given under.
    """
    with installation() as at:
        site = site_named(at.store, name)
        if file is not None:
            site = at.store.set_policy(site.id, _read(site.policy, file))
            click.echo(f"policy {site.policy_version} is in force", err=True)
    click.echo(json_text(json.loads(site.policy.to_json())))


def _read(before: Policy, file: TextIO) -> Policy:
    try:
        return changed(before, file.read())
    except UnicodeDecodeError:
        raise click.ClickException("the policy is not UTF-8") from None
    except PolicyProblems as wrong:
        for problem in wrong.problems:
            click.echo(f"duyet: {problem}", err=True)
        raise click.exceptions.Exit(1) from None


def _tell_key(site: Site, key: str, machine: bool) -> None:
    if machine:
        click.echo(json_text(_keys_told(site, key)))
        return
    click.echo(key)
    click.echo(f"This key of the site {shown(site.name)} is shown this once.", err=True)


def _keys_told(site: Site, key: str) -> dict[str, str]:
    return {"id": site.id, "name": site.name, "api_key": key}


def _keys_in_use(store: Store, site: Site) -> list[SiteKey]:
    now = utc_now()
    return [k for k in store.keys_of(site.id) if k.revoked_at is None or k.revoked_at > now]


def _key_text(key: SiteKey) -> str:
    ends = f" (until {key.revoked_at:%Y-%m-%d %H:%M} UTC)" if key.revoked_at else ""
    return f"{key.prefix}…{ends}"


def _listed(found: list[tuple[Site, list[SiteKey]]], waiting: list[int]) -> str:
    return json_text(
        [
            {
                "id": site.id,
                "name": site.name,
                "policy": site.policy_version,
                "waiting": count,
                "keys": [
                    {
                        "prefix": key.prefix,
                        "created_at": key.created_at.isoformat(),
                        "ends_at": key.revoked_at.isoformat() if key.revoked_at else None,
                    }
                    for key in keys
                ],
            }
            for (site, keys), count in zip(found, waiting, strict=True)
        ]
    )
