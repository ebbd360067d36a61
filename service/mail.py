"""Sends a mail: who may be written to, and how a server is spoken to. Blocks.

Knows SMTP. Does not know what a mail says. What a server answers is never repeated: it quotes
addresses; only its three digits are kept.
"""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from urllib.parse import parse_qs, unquote, urlsplit

from model.addresses import AddressProblem, read_address

TIMEOUT_SECONDS = 20.0
"""How long to wait for a connection, and for each answer."""

PORTS = {"smtp": 587, "smtps": 465}
WHAT_IT_LOOKS_LIKE = (
    "smtp://USER:PASSWORD@HOST:587, smtps://USER:PASSWORD@HOST:465 or smtp://HOST:25?tls=off"
)


class Unsent(Exception):
    """A mail was not taken. The message has no address; `is_final` if it never will be."""

    def __init__(self, what: str, *, is_final: bool = False) -> None:
        super().__init__(what)
        self.is_final = is_final


@dataclass(frozen=True, slots=True)
class Server:
    """Where mails are handed in, read from a URL.

    `smtp` is encrypted by STARTTLS before anything is said, unless `tls=off`; `smtps` from the
    first byte. Certificates are checked against the system's.
    """

    host: str
    port: int
    is_smtps: bool
    is_plain: bool
    user: str = field(repr=False)
    password: str = field(repr=False)

    @classmethod
    def of(cls, url: str) -> "Server":
        """The server that a URL names. Raises ValueError without repeating anything of it."""
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/"):
            raise ValueError(WHAT_IT_LOOKS_LIKE)
        options = parse_qs(parts.query, keep_blank_values=True)
        is_plain = options == {"tls": ["off"]}
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        is_open = is_plain and (parts.scheme == "smtps" or bool(user))
        if (options and not is_plain) or is_open or bool(user) != bool(password):
            raise ValueError(WHAT_IT_LOOKS_LIKE)
        port = parts.port or PORTS[parts.scheme]
        return cls(parts.hostname, port, parts.scheme == "smtps", is_plain, user, password)


@dataclass(frozen=True, slots=True)
class Mail:
    """A text for one person. `headers` are those beside the usual ones."""

    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)
    message_id: str = field(repr=False)
    at: datetime
    language: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


class Mailer:
    """Hands mails in, one connection each. `sender` is "Name <address>" or an address."""

    def __init__(self, server: Server, sender: str) -> None:
        self._server = server
        self._sender = sender_of(sender)

    def send(self, mail: Mail) -> None:
        """Hand a mail in. Raises Unsent when it was not taken."""
        message = self.message(mail)
        with self._connected() as connection:
            try:
                connection.send_message(message)
            except smtplib.SMTPRecipientsRefused as refused:
                code = next(iter(refused.recipients.values()))[0]
                what = f"the mail server refused the recipient ({code})"
                raise Unsent(what, is_final=code >= 500) from None
            except smtplib.SMTPSenderRefused as refused:
                code = refused.smtp_code
                raise Unsent(f"the mail server refused the sender ({code})") from None
            except smtplib.SMTPDataError as refused:
                code = refused.smtp_code
                what = f"the mail server refused the mail ({code})"
                raise Unsent(what, is_final=code >= 500) from None
            except smtplib.SMTPNotSupportedError:
                raise Unsent("the mail server cannot write to such an address") from None

    def check(self) -> None:
        """See whether mails could be handed in now. Raises Unsent."""
        with self._connected() as connection:
            connection.noop()

    def message(self, mail: Mail) -> EmailMessage:
        """A mail as it is handed in: one part of plain text.

        Raises ValueError for a header with a line break.
        """
        message = EmailMessage(policy=SMTP)
        message["From"] = self._sender
        message["To"] = Address(addr_spec=mail.to)
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(mail.at.astimezone(UTC))
        message["Message-ID"] = f"<{mail.message_id}@{self._sender.domain}>"
        message["Content-Language"] = mail.language
        # No vacation notes, and no answers from machines.
        message["Auto-Submitted"] = "auto-generated"
        message["X-Auto-Response-Suppress"] = "All"
        for name, value in mail.headers:
            message[name] = value
        message.set_content(mail.text, charset="utf-8", cte="quoted-printable")
        return message

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        try:
            with self._greeted() as connection:
                yield connection
        except Unsent:
            raise
        except smtplib.SMTPAuthenticationError as refused:
            what = f"the mail server refused the user or password ({refused.smtp_code})"
            raise Unsent(what) from None
        except smtplib.SMTPResponseException as refused:
            raise Unsent(f"the mail server answered {refused.smtp_code}") from None
        except ssl.SSLError:
            what = "the mail server's certificate cannot be trusted, or it has no TLS"
            raise Unsent(what) from None
        except smtplib.SMTPNotSupportedError:
            raise Unsent("the mail server offers no STARTTLS, or takes no password") from None
        except (OSError, smtplib.SMTPException, UnicodeError) as problem:
            raise Unsent(f"the mail server cannot be reached ({type(problem).__name__})") from None

    def _greeted(self) -> smtplib.SMTP:
        server = self._server
        context = ssl.create_default_context()
        if server.is_smtps:
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=TIMEOUT_SECONDS, context=context
            )
        else:
            connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_SECONDS)
        with ExitStack() as failed:
            failed.callback(connection.close)
            if not server.is_smtps and not server.is_plain:
                connection.starttls(context=context)
            if server.user:
                connection.login(server.user, server.password)
            failed.pop_all()
        return connection


def sender_of(text: str) -> Address:
    """The sender that "Name <address>" or an address names. Raises ValueError, unrepeated."""
    name, address = parseaddr(text)
    if not address or not text.isprintable() or len(text) > 250:
        raise ValueError("an address, or NAME <ADDRESS>")
    return Address(name, addr_spec=recipient_of(address))


def recipient_of(text: str) -> str:
    """An address that any mail server can write to, its domain in ASCII.

    Raises ValueError, which repeats nothing.
    """
    try:
        address = read_address(text.strip())
    except AddressProblem:
        raise ValueError("an email address") from None
    if not address.local.isascii():
        raise ValueError("an email address in ASCII")
    return f"{address.local}@{address.domain}"
