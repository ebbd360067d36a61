"""Mail filters that learn as they go, as real processes on this machine, for comparison.

Each is a context manager that gives a filter with `judge`, `learn` and `learn_all`, and with
`request` and `connect` to ask it as fast as its own protocol goes. Its data is in a folder of
its own that is gone afterwards. What is absent raises `Absent`, which says how to
install it. They listen on loopback alone, and reach no network.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from http.client import HTTPConnection
from json import loads
from pathlib import Path
from typing import Protocol

from benchmarks.closed_loop import Client, http_client, opened, post
from model.outcome import Outcome

START_SECONDS = 120.0


class Absent(Exception):
    """A peer is not installed; the message says how to."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A comment as a filter for mail reads it: name and link go where a sender and subject do."""

    text: str
    name: str
    url: str

    def __bytes__(self) -> bytes:
        message = EmailMessage(policy=SMTP.clone(max_line_length=None))
        message["From"] = f"{_word(self.name) or 'reader'} <reader@example.invalid>"
        message["To"] = "site@example.invalid"
        message["Subject"] = _line(f"{self.name} {self.url}")
        message.set_content(f"{self.text}\n{self.url}\n", cte="8bit")
        return message.as_bytes()


class MailFilter(Protocol):
    """A filter that learns."""

    def judge(self, mail: Mail) -> Outcome:
        """What the filter would do with it by its own thresholds."""

    def learn(self, mail: Mail, *, spam: bool) -> None:
        """Tell it about one."""

    def learn_all(self, told: Sequence[tuple[Mail, bool]]) -> None:
        """Tell it about many, as fast as it can."""

    def request(self, mail: Mail) -> bytes:
        """What its client sends to have it judged."""

    def connect(self) -> AbstractContextManager[Client]:
        """A client that sends such requests, one after another."""


# ------------------------------------------------------------------ bogofilter


@contextmanager
def bogofilter() -> Iterator["Bogofilter"]:
    """bogofilter as it comes: spam is rejected, "unsure" queued."""
    binary = _binary("bogofilter", "bogofilter")
    with tempfile.TemporaryDirectory(prefix="bogofilter-") as folder:
        yield Bogofilter([binary, "-C", "-d", folder])


class Bogofilter:
    """A bogofilter with a word list of its own."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._knows = False  # it fails without a word list

    def judge(self, mail: Mail) -> Outcome:
        if not self._knows:
            return Outcome.QUEUE
        code = self._run(bytes(mail), may_end_with=(0, 1, 2))
        return (Outcome.REJECT, Outcome.ACCEPT, Outcome.QUEUE)[code]

    def learn(self, mail: Mail, *, spam: bool) -> None:
        self._run(bytes(mail), "-s" if spam else "-n")
        self._knows = True

    def learn_all(self, told: Sequence[tuple[Mail, bool]]) -> None:
        for wanted, flag in ((True, "-s"), (False, "-n")):
            mailbox = _mailbox(mail for mail, spam in told if spam is wanted)
            if mailbox:
                self._run(mailbox, flag, "-M")
                self._knows = True

    def request(self, mail: Mail) -> bytes:
        return bytes(mail)

    @contextmanager
    def connect(self) -> Iterator[Client]:
        """Starts a process for each, as a site would that calls it for each comment."""

        def ask(message: bytes) -> bytes:
            done = subprocess.run(
                self._command,
                input=message,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=60,
                check=False,
            )
            if done.returncode not in {0, 1, 2}:
                raise RuntimeError(f"bogofilter ended with {done.returncode}")
            return b""

        yield ask

    def judge_files(self, paths: Sequence[Path]) -> int:
        """Have one process judge files with a mail each; how many it judged."""
        names = "".join(f"{path}\n" for path in paths).encode()
        done = subprocess.run(
            [*self._command, "-T", "-b"], input=names, capture_output=True, timeout=300, check=False
        )
        return len(done.stdout.splitlines())

    def _run(self, data: bytes, *flags: str, may_end_with: tuple[int, ...] = (0,)) -> int:
        done = subprocess.run(
            [*self._command, *flags], input=data, capture_output=True, timeout=300, check=False
        )
        if done.returncode not in may_end_with:
            raise RuntimeError(f"bogofilter ended with {done.returncode}")
        return done.returncode


# ------------------------------------------------------------------ rspamd


@contextmanager
def rspamd() -> Iterator[MailFilter]:
    """rspamd's Bayes alone, tuned for short texts: it judges from the first word and lesson on.

    Rejected is what it gives 90 % and more for spam, accepted what it gives 90 % for ham; where
    it has no opinion, or less of one, a person is asked.
    """
    binary = _binary("rspamd", "rspamd")
    redis = _binary("redis-server", "redis-server")
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="rspamd-")))
        store, port = _free_port(), _free_port()
        opened.enter_context(
            _running(
                [
                    redis,
                    "--port",
                    str(store),
                    "--bind",
                    "127.0.0.1",
                    "--save",
                    "",
                    "--dir",
                    str(folder),
                ]
            )
        )
        _await_port(store)
        _configure(folder, store=store, port=port)
        opened.enter_context(_running([binary, "-f", "-i", "-c", str(folder / "rspamd.conf")]))
        _await_port(port)
        yield _Rspamd(port)


class _Rspamd:
    def __init__(self, port: int) -> None:
        self._port = port

    def judge(self, mail: Mail) -> Outcome:
        symbols = loads(self._post("/checkv2", bytes(mail)))["symbols"]
        for symbol, outcome in (("BAYES_SPAM", Outcome.REJECT), ("BAYES_HAM", Outcome.ACCEPT)):
            if symbol in symbols:
                sure = float(symbols[symbol]["options"][0].rstrip("%"))
                return outcome if sure >= 90 else Outcome.QUEUE
        return Outcome.QUEUE

    def learn(self, mail: Mail, *, spam: bool) -> None:
        self._post("/learnspam" if spam else "/learnham", bytes(mail))

    def learn_all(self, told: Sequence[tuple[Mail, bool]]) -> None:
        for mail, spam in told:
            self.learn(mail, spam=spam)

    def request(self, mail: Mail) -> bytes:
        return post("/checkv2", bytes(mail), {"Connection": "keep-alive"})

    def connect(self) -> AbstractContextManager[Client]:
        return http_client(self._port)

    def _post(self, path: str, body: bytes) -> bytes:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("POST", path, body)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        # 208: it has learnt the very same already; 204: nothing in it to learn from.
        if answer.status not in {200, 204, 208}:
            raise RuntimeError(f"rspamd answered {answer.status} to {path}")
        return data


def _configure(folder: Path, *, store: int, port: int) -> None:
    """Bayes over redis, and nothing else of rspamd's: no look-ups, no other rules."""
    (folder / "plugins").mkdir()
    # It compiles these into one pattern when it starts: all there are take half a minute.
    (folder / "suffixes").write_text("com\nnet\norg\ninfo\nbiz\n", encoding="ascii")
    (folder / "rspamd.conf").write_text(
        f"""
options {{
  pidfile = "{folder}/rspamd.pid"; hs_cache_dir = "{folder}"; dynamic_conf = "{folder}/dynamic";
  filters = ""; dns {{ nameserver = ["127.0.0.1:1"]; }} local_addrs = [];
  url_tld = "{folder}/suffixes"; explicit_modules = [];
  allow_raw_input = true; max_message = 16mb;
}}
logging {{ type = "file"; filename = "{folder}/log"; level = "error"; }}
lua = "/usr/share/rspamd/rules/rspamd.lua";
modules {{ path = "{folder}/plugins/"; }}
metric {{ name = "default"; actions {{ reject = 100; }} group "statistics" {{
  symbol "BAYES_SPAM" {{ weight = 5; }} symbol "BAYES_HAM" {{ weight = -5; }} }} }}
worker "controller" {{
  bind_socket = "127.0.0.1:{port}"; count = 1; secure_ip = ["127.0.0.1"]; password = "q1";
}}
classifier "bayes" {{
  tokenizer {{ name = "osb"; }}
  backend = "redis"; servers = "127.0.0.1:{store}"; new_schema = true; min_tokens = 1;
  min_learns = 1;
  statfile {{ symbol = "BAYES_HAM"; spam = false; }}
  statfile {{ symbol = "BAYES_SPAM"; spam = true; }}
}}
""",
        encoding="utf-8",
    )


# ------------------------------------------------------------------ SpamAssassin

_BAYES_ALONE = """
loadplugin Mail::SpamAssassin::Plugin::Check
loadplugin Mail::SpamAssassin::Plugin::Bayes
"""

_BAYES_SPAM, _BAYES_HAM = "BAYES_SPAM", "BAYES_HAM"


@contextmanager
def spamd() -> Iterator[MailFilter]:
    """SpamAssassin's Bayes alone, by its daemon with a child for each core.

    It judges from the first lesson on. Rejected is what it gives 90 % and more for spam,
    accepted what it gives 90 % for ham.
    """
    binary = _binary("spamd", "spamd")
    with tempfile.TemporaryDirectory(prefix="spamd-") as name:
        folder, port = Path(name), _free_port()
        (folder / "init.pre").write_text(_BAYES_ALONE, encoding="ascii")
        (folder / "bayes.cf").write_text(
            f"""
bayes_path {folder}/bayes
bayes_auto_learn 0
bayes_auto_expire 0
bayes_min_ham_num 1
bayes_min_spam_num 1
body {_BAYES_SPAM} eval:check_bayes('0.90','1.00')
body {_BAYES_HAM} eval:check_bayes('0.00','0.10')
score {_BAYES_SPAM} 5
score {_BAYES_HAM} -5
""",
            encoding="utf-8",
        )
        # It refuses to run as root.
        user = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        places = ["-C", name, "--siteconfigpath", name]
        children = str(os.cpu_count() or 1)
        command = [binary, "-x", "-L", "-l", "-u", user, *places]
        command += ["-i", f"127.0.0.1:{port}", "-s", "null", "-r", f"{folder}/pid"]
        command += ["-m", children, "--min-children", children, "--max-conn-per-child", "100000"]
        with _running(command):
            _await_port(port)
            yield _Spamd(port, folder, ["sa-learn", *places], user)


class _Spamd:
    def __init__(self, port: int, folder: Path, learner: list[str], user: str) -> None:
        self._port = port
        self._folder = folder
        self._learner = learner
        self._user = user if os.getuid() == 0 else None

    def judge(self, mail: Mail) -> Outcome:
        answer = self._ask(_spamc("SYMBOLS", bytes(mail)))
        if _BAYES_SPAM.encode() in answer:
            return Outcome.REJECT
        return Outcome.ACCEPT if _BAYES_HAM.encode() in answer else Outcome.QUEUE

    def learn(self, mail: Mail, *, spam: bool) -> None:
        told = f"Message-class: {'spam' if spam else 'ham'}\r\nSet: local\r\n"
        self._ask(_spamc("TELL", bytes(mail), told))

    def learn_all(self, told: Sequence[tuple[Mail, bool]]) -> None:
        for wanted, flag in ((True, "--spam"), (False, "--ham")):
            mailbox = self._folder / "told"
            mailbox.write_bytes(_mailbox(mail for mail, spam in told if spam is wanted))
            subprocess.run(
                [*self._learner, flag, "--mbox", str(mailbox)],
                user=self._user,
                env={**os.environ, "HOME": str(self._folder)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=600,
                check=True,
            )

    def request(self, mail: Mail) -> bytes:
        return _spamc("SYMBOLS", bytes(mail))

    @contextmanager
    def connect(self) -> Iterator[Client]:
        """A connection for each request: its protocol has no other way."""
        yield self._ask

    def _ask(self, request: bytes) -> bytes:
        seen = b""
        with opened(self._port) as connection:
            connection.sendall(request)
            while some := connection.recv(65_536):
                seen += some
        if b" EX_OK" not in seen.partition(b"\n")[0]:
            raise RuntimeError("spamd did not answer well")
        return seen


def _spamc(command: str, message: bytes, more: str = "") -> bytes:
    head = f"{command} SPAMC/1.5\r\nContent-length: {len(message)}\r\n{more}\r\n"
    return head.encode() + message


# ------------------------------------------------------------------ processes


PEERS: Mapping[str, Callable[[], AbstractContextManager[MailFilter]]] = {
    "bogofilter": bogofilter,
    "rspamd": rspamd,
}


def _binary(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Absent(f"not installed; on Debian: apt-get install {package}")
    return found


@contextmanager
def _running(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port


def _await_port(port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise RuntimeError("a peer did not start") from None
            time.sleep(0.05)


def _mailbox(mails: Iterable[Mail]) -> bytes:
    return b"".join(
        b"From reader Thu Jan  1 00:00:00 1970\n"
        + bytes(mail).replace(b"\nFrom ", b"\n>From ")
        + b"\n"
        for mail in mails
    )


def _line(text: str) -> str:
    return " ".join(text.split())[:200]


def _word(text: str) -> str:
    return "".join(c for c in _line(text) if c.isalnum() or c == " ")
