"""A real WordPress on loopback: Debian's, with its database and PHP's own server."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from service.late_verdicts import SIGNATURE, signature

INSTALLED = Path(os.environ.get("WORDPRESS") or "/usr/share/wordpress")
"""Debian's, or another one to try with."""

PLUGIN = Path(__file__).parents[2] / "integrations" / "wordpress" / "duyet.php"
START_SECONDS = 60
PASSWORD = "a password of the test alone"

_CONFIG = """<?php
define( 'DB_NAME', 'blog' ); define( 'DB_USER', 'root' ); define( 'DB_PASSWORD', '' );
define( 'DB_HOST', 'localhost:%(socket)s' ); define( 'DB_CHARSET', 'utf8mb4' );
define( 'DB_COLLATE', '' );
foreach ( array( 'AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE' ) as $name ) {
    define( $name . '_KEY', 'test' ); define( $name . '_SALT', 'test' );
}
define( 'WP_HOME', '%(url)s' ); define( 'WP_SITEURL', '%(url)s' );
define( 'DISABLE_WP_CRON', true ); define( 'AUTOMATIC_UPDATER_DISABLED', true );
define( 'DUYET_URL', '%(duyet)s' );
define( 'WP_HTTP_BLOCK_EXTERNAL', true );
define( 'WP_DEBUG', true ); define( 'WP_DEBUG_DISPLAY', false );
define( 'WP_DEBUG_LOG', '%(log)s' );
if ( isset( $_SERVER['HTTP_X_READER'] ) ) {
    $_SERVER['REMOTE_ADDR'] = $_SERVER['HTTP_X_READER'];
}
$table_prefix = 'wp_';
if ( ! defined( 'ABSPATH' ) ) { define( 'ABSPATH', __DIR__ . '/' ); }
require_once ABSPATH . 'wp-settings.php';
"""

_INSTALL = """<?php
define( 'WP_INSTALLING', true );
require 'wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install( 'Blog', 'admin', 'admin@mail.example', true, '', '%(password)s' );
update_option( 'comment_previously_approved', 0 );
update_option( 'comment_max_links', 0 );
update_option( 'active_plugins', array( 'akismet/akismet.php' ) );
"""

_MAIL = """<?php
add_filter( 'pre_wp_mail', function ( $sent, $mail ) {
    file_put_contents( '%(mail)s', $mail['subject'] . "\\n", FILE_APPEND );
    return true;
}, 10, 2 );
"""


def why_not() -> str:
    """What is missing for it, "" for nothing."""
    programs = ("php", "mariadbd", "mariadb-install-db", "mariadb")
    missing = [name for name in programs if shutil.which(name) is None]
    return "" if INSTALLED.is_dir() and not missing else "scripts/install-wordpress brings it"


@dataclass
class Blog:
    """The site, and the browser of whoever is there."""

    root: Path
    port: int
    socket: Path
    visitor: httpx.Client = field(repr=False)
    admin: httpx.Client = field(repr=False)
    server: subprocess.Popen[bytes] | None = None
    readers: Iterator[int] = field(default_factory=lambda: count(1), repr=False)

    def start(self) -> None:
        """Start PHP's own server."""
        self.server = subprocess.Popen(
            ["php", "-d", "max_input_vars=5000", "-d", "opcache.enable=0",
             "-S", f"127.0.0.1:{self.port}", "-t", str(self.root)],
            env={"PHP_CLI_SERVER_WORKERS": "3", "PATH": "/usr/bin:/bin"},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _until(lambda: _answers(self.port), "no PHP")

    def stop(self) -> None:
        """End PHP's server and its workers."""
        if self.server is not None:
            os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait(timeout=30)
            self.server = None

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nobody answers there until the block ends."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, code: str) -> str:
        """What a piece of PHP prints inside WordPress."""
        script = f"require 'wp-load.php'; {code}"
        done = subprocess.run(
            ["php", "-r", script], cwd=self.root, check=True, capture_output=True, text=True
        )
        return done.stdout

    def query(self, statement: str) -> list[list[str]]:
        """The rows that the database gives."""
        command = ["mariadb", "--no-defaults", f"--socket={self.socket}", "-u", "root"]
        done = subprocess.run(
            [*command, "--default-character-set=utf8mb4", "-N", "-B", "blog", "-e", statement],
            check=True,
            capture_output=True,
            text=True,
        )
        return [line.split("\t") for line in done.stdout.splitlines()]

    def cron(self) -> None:
        """What is scheduled for later is due now, and WordPress' own cron does it."""
        self.run(
            "foreach ( _get_cron_array() as $at => $hooks ) { foreach ( $hooks as $hook => $all ) {"
            " if ( 'akismet_schedule_cron_recheck' === $hook ) { wp_clear_scheduled_hook( $hook );"
            " wp_schedule_single_event( time() - 1, $hook ); } } }"
        )
        subprocess.run(["php", "wp-cron.php"], cwd=self.root, check=True, capture_output=True)

    def meta(self, number: int, name: str) -> str:
        """A word that is kept with a comment, "" for none."""
        found = self.query(
            "SELECT meta_value FROM wp_commentmeta"
            f" WHERE comment_id = {number} AND meta_key = '{name}'"
        )
        return found[0][0] if found else ""

    def comment(self, content: str, name: str = "Lan", **more: str) -> httpx.Response:
        """What another reader fills into the form under the first article, and sends."""
        reader = next(self.readers)
        form = {"author": name, "email": f"reader{reader}@mail.example", "url": ""}
        form |= {"comment": content, "comment_post_ID": "1", "comment_parent": "0"} | more
        address = {"X-Reader": f"198.18.{reader % 250}.{reader // 250 + 1}"}
        return self.visitor.post(f"{self.url}/wp-comments-post.php", data=form, headers=address)

    @property
    def address(self) -> str:
        """Where decisions are told."""
        return f"{self.url}/index.php?rest_route=/duyet/v1/decisions"

    @property
    def log(self) -> Path:
        """What PHP had to say."""
        return self.root.parent / "log"

    def mails(self) -> list[str]:
        """The subjects of all mails that WordPress has sent."""
        return (self.root.parent / "mail").read_text().splitlines()

    def told(self, what: object, key: str, at: datetime) -> httpx.Response:
        """The answer to a message of Duyet's, signed with a key; with none, not signed."""
        body = json.dumps(what).encode()
        signed = {SIGNATURE: signature(key, body, at=at)} if key else {}
        headers = {"Content-Type": "application/json"} | signed
        return httpx.post(self.address, content=body, headers=headers, trust_env=False)

    def key_is_good(self) -> bool:
        """Whether Duyet takes the key of the plugin for this site."""
        return self.run("echo Akismet::verify_key( Akismet::get_api_key() );") == "valid"

    def last(self) -> tuple[int, str]:
        """The newest comment's id, and where it stands: 1, 0 or spam."""
        [[number, approved]] = self.query(
            "SELECT comment_ID, comment_approved FROM wp_comments ORDER BY comment_ID DESC LIMIT 1"
        )
        return int(number), approved

    def standing(self, number: int) -> str:
        """Where a comment stands: 1, 0, spam or trash."""
        statement = f"SELECT comment_approved FROM wp_comments WHERE comment_ID = {number}"
        [[approved]] = self.query(statement)
        return approved

    def sign_in(self) -> None:
        """Sign the admin's browser in."""
        self.admin.get(f"{self.url}/wp-login.php")
        form = {"log": "admin", "pwd": PASSWORD, "wp-submit": "Log In", "testcookie": "1"}
        answer = self.admin.post(f"{self.url}/wp-login.php", data=form)
        assert "wp-admin" in str(answer.url), answer.url

    def enter_key(self, key: str) -> str:
        """Enter a key in the plugin's own settings; what the page says then."""
        page = self.admin.get(f"{self.url}/wp-admin/options-general.php?page=akismet-key-config")
        nonces = re.findall(r'name="_wpnonce" value="([0-9a-f]+)"', page.text)
        form = {"action": "enter-key", "key": key, "_wpnonce": nonces[0]}
        done = self.admin.post(str(page.url), data=form)
        return done.text

    def click(self, number: int, action: str) -> None:
        """Click on an action of a comment in the admin's list."""
        status = "spam" if action == "unspamcomment" else "all"
        page = self.admin.get(f"{self.url}/wp-admin/edit-comments.php?comment_status={status}")
        found = re.search(
            rf"comment\.php\?[^\"']*?c={number}[^\"']*?action={action}[^\"']*|"
            rf"comment\.php\?action={action}[^\"']*?c={number}\b[^\"']*",
            page.text,
        )
        assert found, f"there is no {action} of {number}"
        link = found.group().replace("&#038;", "&").replace("&amp;", "&")
        self.admin.get(f"{self.url}/wp-admin/{link}")


def _dangling(directory: str, names: list[str]) -> list[str]:
    """Links to parts of packages that were not installed."""
    return [name for name in names if not (Path(directory) / name).exists()]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _until(holds: object, what: str) -> None:
    assert callable(holds)
    until = time.monotonic() + START_SECONDS
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def running_blog(directory: Path, duyet: str) -> Iterator[Blog]:
    """A WordPress that asks the Duyet at a URL; all of it ends with the block."""
    root, data = directory / "www", directory / "db"
    port, sock = _free_port(), directory / "sock"
    shutil.copytree(INSTALLED, root, ignore=_dangling)
    (root / "wp-config.php").unlink(missing_ok=True)
    url = f"http://127.0.0.1:{port}"
    told = {"socket": str(sock), "url": url, "duyet": duyet, "log": str(directory / "log")}
    told["mail"] = str(directory / "mail")
    (root / "wp-config.php").write_text(_CONFIG % told)
    (root / "install.php").write_text(_INSTALL % {"password": PASSWORD})
    plugins = root / "wp-content" / "mu-plugins"
    plugins.mkdir(exist_ok=True)
    shutil.copy(PLUGIN, plugins)
    (plugins / "mail.php").write_text(_MAIL % told)
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root",
         "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True, **quiet,
    )  # fmt: skip
    database = subprocess.Popen(
        ["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={sock}", "--user=root",
         "--skip-networking", f"--pid-file={directory}/pid"],
        **quiet,
    )  # fmt: skip
    blog = None
    try:
        admin = ["mariadb", "--no-defaults", f"--socket={sock}", "-u", "root", "-e"]
        make = [*admin, "CREATE DATABASE blog CHARACTER SET utf8mb4"]
        _until(lambda: subprocess.run(make, check=False, **quiet).returncode == 0, "no MariaDB")
        subprocess.run(["php", "install.php"], cwd=root, check=True, stdout=subprocess.DEVNULL)
        options: dict[str, Any] = {"follow_redirects": True, "timeout": 60, "trust_env": False}
        with httpx.Client(**options) as visitor, httpx.Client(**options) as signed_in:
            blog = Blog(root, port, sock, visitor, signed_in)
            blog.start()
            yield blog
    finally:
        if blog is not None:
            blog.stop()
        database.terminate()
        database.wait(timeout=30)
