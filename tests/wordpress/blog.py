"""A real WordPress on loopback: Debian's, with its database and PHP's own server."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

INSTALLED = Path("/usr/share/wordpress")
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
update_option( 'active_plugins', array( 'akismet/akismet.php' ) );
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

    def comment(self, content: str, name: str = "Lan", **more: str) -> httpx.Response:
        """Fill in the form under the first article, and send it."""
        email = f"{abs(hash((name, content))) % 10**9}@mail.example"
        form = {"author": name, "email": email, "url": "", "comment": content}
        form |= {"comment_post_ID": "1", "comment_parent": "0"} | more
        return self.visitor.post(f"{self.url}/wp-comments-post.php", data=form)

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
    shutil.copytree(INSTALLED, root)
    (root / "wp-config.php").unlink(missing_ok=True)
    url = f"http://127.0.0.1:{port}"
    told = {"socket": str(sock), "url": url, "duyet": duyet}
    (root / "wp-config.php").write_text(_CONFIG % told)
    (root / "install.php").write_text(_INSTALL % {"password": PASSWORD})
    plugins = root / "wp-content" / "mu-plugins"
    plugins.mkdir(exist_ok=True)
    shutil.copy(PLUGIN, plugins)
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
    server = None
    try:
        admin = ["mariadb", "--no-defaults", f"--socket={sock}", "-u", "root", "-e"]
        make = [*admin, "CREATE DATABASE blog CHARACTER SET utf8mb4"]
        _until(lambda: subprocess.run(make, check=False, **quiet).returncode == 0, "no MariaDB")
        subprocess.run(["php", "install.php"], cwd=root, check=True, stdout=subprocess.DEVNULL)
        server = subprocess.Popen(
            [
                "php",
                "-d",
                "max_input_vars=5000",
                "-d",
                "opcache.enable=0",
                "-S",
                f"127.0.0.1:{port}",
                "-t",
                str(root),
            ],
            env={"PHP_CLI_SERVER_WORKERS": "3", "PATH": "/usr/bin:/bin"},
            start_new_session=True,
            **quiet,
        )
        _until(lambda: _answers(port), "no PHP")
        options: dict[str, Any] = {"follow_redirects": True, "timeout": 60, "trust_env": False}
        with httpx.Client(**options) as visitor, httpx.Client(**options) as signed_in:
            yield Blog(root, port, sock, visitor, signed_in)
    finally:
        if server is not None:
            subprocess.run(["kill", "--", f"-{server.pid}"], check=False)
            server.wait(timeout=30)
        database.terminate()
        database.wait(timeout=30)
