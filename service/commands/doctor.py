"""The command `duyet doctor`: check a deployment, say what was found and what to do."""

import os
from collections.abc import Sequence
from dataclasses import asdict

import click

from service.commands.opening import json_option, json_text, shown
from service.diagnosis import Finding, State, findings
from service.settings import SettingsError, load_settings


@click.command(
    "doctor",
    epilog="""\b
Examples:
  duyet doctor
  duyet doctor --json | jq '.findings[] | select(.state != "ok")'
  docker compose exec duyet duyet doctor""",
)
@json_option
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Check a deployment, whether the service runs or not, and say what to do.

    Run it as the service's user, with the service's settings. Nothing that is kept is changed, and
    no secret is shown. The status is 0 when nothing failed, warnings or not, else 1.
    """
    found = _found()
    failed = any(finding.state is State.FAIL for finding in found)
    if as_json:
        body = {"is_well": not failed, "findings": [asdict(finding) for finding in found]}
        click.echo(json_text(body))
    else:
        click.echo("\n".join(map(_line, found)))
    ctx.exit(1 if failed else 0)


def _found() -> Sequence[Finding]:
    try:
        settings = load_settings(os.environ)
    except SettingsError as wrong:
        fix = "correct it; docs/operating.md lists every setting"
        return [Finding("settings", State.FAIL, problem, fix) for problem in wrong.problems]
    well = Finding("settings", State.OK, "every one can be read")
    return [well, *findings(settings, os.environ)]


def _line(finding: Finding) -> str:
    what = f"{finding.state.upper():<5} {finding.check:<15} {shown(finding.what)}"
    return f"{what}\n{'':21} → {shown(finding.fix)}" if finding.fix else what
