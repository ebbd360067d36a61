"""The command line: what can be asked for, and how it ends.

Knows the name of every command and where it lives, and imports only the one that was asked
for: `duyet serve` must not pay for scikit-learn (docs/adr/0005). Does nothing itself.
"""

import gc
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module, metadata
from types import TracebackType
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from training.examples import ExampleError

INTERRUPTED = 130  # as shells count a death by Ctrl-C: 128 + SIGINT


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a command lives, and what it does in a line that needs no import to show.

    `target` is "module:attribute".
    """

    target: str
    summary: str

    def load(self) -> click.Command:
        """The command itself. Imports its module, which may cost seconds."""
        module, _, attribute = self.target.partition(":")
        with _no_collections():
            command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.target} is not a command")
        return command


@contextmanager
def _no_collections() -> Iterator[None]:
    """Collect no garbage: what imports make stays, and walking it was a tenth of a start."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


SECTIONS: dict[str, dict[str, LazyCommand]] = {
    "Run the service": {
        "serve": LazyCommand("service.commands.serve:serve", "Run the service and its queue page."),
        "migrate": LazyCommand("service.commands.keep:migrate", "Bring the database up to date."),
        "doctor": LazyCommand(
            "service.commands.doctor:doctor", "Check a deployment, and say what to do."
        ),
        "backup": LazyCommand(
            "service.commands.backup:backup", "Copy the database while it is in use."
        ),
        "move-database": LazyCommand(
            "service.commands.moving:move_database", "Move from SQLite to PostgreSQL."
        ),
        "forget": LazyCommand("service.commands.keep:forget", "Forget comments that are too old."),
        "erase": LazyCommand("service.commands.erase:erase", "Erase a person and their comments."),
        "sites": LazyCommand(
            "service.commands.sites:sites", "Add and list sites, renew their keys."
        ),
        "keys": LazyCommand(
            "service.commands.keep:keys", "Renew the key that addresses are kept under."
        ),
    },
    "Moderate": {
        "outbox": LazyCommand(
            "service.commands.outbox:outbox", "List what sites were not told yet."
        ),
        "digest": LazyCommand(
            "service.commands.digest:digest", "Send what waits to moderators, by mail."
        ),
        "sign-in": LazyCommand(
            "service.commands.moderate:sign_in", "Print a one-time sign-in link."
        ),
        "lists": LazyCommand(
            "service.commands.lists:lists", "Read and change a site's words and domains."
        ),
        "people": LazyCommand(
            "service.commands.people:people", "List who may enter, change roles, reset accounts."
        ),
        "queue": LazyCommand(
            "service.commands.moderate:queue", "List what waits for a person, and decide."
        ),
        "import": LazyCommand("service.commands.history:import_", "Take a site's history in."),
        "export": LazyCommand("service.commands.history:export", "Write comments or labels out."),
    },
    "Judge files and keep models": {
        "score": LazyCommand("duyet.offline:score", "Judge a file of comments offline."),
        "evaluate": LazyCommand(
            "training.evaluate_command:evaluate_command", "Measure a model on labelled comments."
        ),
        "replay": LazyCommand(
            "service.commands.replay:replay", "Judge stored comments again, before a change."
        ),
        "train": LazyCommand("duyet.train_store:train", "Fit a model on labelled comments."),
        "labels": LazyCommand(
            "duyet.labels:labels", "Report on labels, find wrong ones, say what to label next."
        ),
        "models": LazyCommand(
            "duyet.model_commands:models", "List, compare, promote, roll back and sign models."
        ),
    },
}

COMMANDS: dict[str, LazyCommand] = {
    name: command for section in SECTIONS.values() for name, command in section.items()
}


class LazyGroup(click.Group):
    """The group whose commands are imported when they are called, not when they are listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        return COMMANDS[cmd_name].load() if cmd_name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, but near names come from the table: nothing else is registered."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as unknown:
            raise click.exceptions.NoSuchCommand(
                unknown.command_name, possibilities=COMMANDS, ctx=ctx
            ) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by section, from the table alone."""
        width = max(map(len, COMMANDS))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), c.summary) for name, c in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names for the shell, from the table alone: a tab key must answer at once."""
        names = [
            CompletionItem(name, help=command.summary)
            for name, command in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  duyet serve                                run it on 127.0.0.1:8000, data under ./var
  duyet score comments.jsonl > out.jsonl     judge a file, no database needed
  duyet evaluate labelled.jsonl.gz --json    measure the model, for a machine
  duyet export labels | duyet train - --out models

`duyet COMMAND --help` says more, with examples.""",
)
@click.version_option(metadata.version("duyet"), message="duyet %(version)s")
def duyet() -> None:
    """Decide whether comments may be published: accept, reject, or queue for a person.

    Settings come from the environment (DUYET_HOST, DUYET_PORT, DUYET_DATA_DIR, …).
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and say how it ended, as an exit status.

    0 is done, 1 is a failure and 2 a wrong call, each told in one line on standard error; 130 is
    Ctrl-C. When a reader such as `head` has had enough, it ends with 1 and says nothing.
    """
    try:
        answer = duyet.main(arguments, prog_name="duyet", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.ClickException as error:
        _complain(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except ExampleError as error:
        click.echo(f"duyet: {error}", err=True)
        return 1
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            said = ": ".join(str(part) for part in (error.strerror, error.filename) if part)
            # numpy's writing says nothing but how many bytes were taken.
            click.echo(f"duyet: {said or 'not all was written; is the disk full?'}", err=True)
        _drop_output()
        return 1
    return answer if isinstance(answer, int) else 0


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process."""
    sys.excepthook = show_fault
    sys.exit(run(arguments))


def show_fault(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print where a fault of the program itself happened, and nothing of what it says.

    The text of an exception may quote what was being read, a commenter's address among it.
    """
    print("duyet: a fault in the program; please report these lines:", file=sys.stderr)
    seen: BaseException | None = error
    while seen is not None:
        traceback.print_tb(trace if seen is error else seen.__traceback__, file=sys.stderr)
        print(type(seen).__qualname__, file=sys.stderr)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def _complain(error: click.ClickException) -> None:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    context = error.ctx if isinstance(error, click.UsageError) else None
    message = " ".join(error.format_message().split())
    if context is not None:
        message = f"{context.command_path}: {message} (see {context.command_path} --help)"
    click.echo(message if context else f"duyet: {message}", err=True)


def _drop_output() -> None:
    # Python flushes standard output once more as it ends, and would fail and say so again.
    if sys.stdout is None:  # as Python starts when the descriptor was closed
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
