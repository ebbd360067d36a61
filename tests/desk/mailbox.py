"""A real mail server on loopback, that keeps, refuses or stalls."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

OK = "250 taken"


@dataclass
class Mailbox:
    """What was handed in. `rcpt` and `data` are answered as they say."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    to: list[list[str]] = field(default_factory=list)
    rcpt: str = OK
    data: str = OK
    taken: Callable[[], object] = lambda: None

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if self.rcpt == OK:
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.data == OK:
            self.to.append(envelope.rcpt_tos)
            self.raw.append(envelope.content)
            found = message_from_bytes(envelope.content, policy=default)
            assert isinstance(found, EmailMessage)
            self.mails.append(found)
            self.taken()
        return self.data


@contextmanager
def mail_server(**options: Any) -> Iterator[Mailbox]:
    """A server in a thread, on a port of the kernel's choice."""
    box = Mailbox()
    loop = asyncio.new_event_loop()
    is_smtps = options.pop("smtps", None)
    options.setdefault("hostname", "mail.example")
    server = loop.run_until_complete(
        loop.create_server(lambda: SMTP(box, loop=loop, **options), "127.0.0.1", 0, ssl=is_smtps)
    )
    box.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield box
    finally:

        async def end() -> None:
            server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def knows(user: str, password: str) -> Callable[..., AuthResult]:
    """What a server asks about a user."""

    def is_right(
        server: Any, session: Any, envelope: Any, mechanism: str, said: LoginPassword
    ) -> AuthResult:
        right = (said.login, said.password) == (user.encode(), password.encode())
        return AuthResult(success=right, handled=False)  # the server says no by itself

    return is_right
