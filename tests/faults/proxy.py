"""A TCP proxy before a database, with a switch for everything a network does to one."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """Passes bytes on to `target`, a port of loopback, until told otherwise.

    Its methods are called from the thread of a test; they take effect before they return.
    """

    target: int
    port: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _flows: asyncio.Event = field(default_factory=asyncio.Event)
    _refuses: bool = False
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Reset every connection, and each new one at once."""
        self._do(self._cut)

    def freeze(self) -> None:
        """Take connections and bytes, and pass nothing on; nobody is told anything."""
        self._do(self._flows.clear)

    def mend(self) -> None:
        """Pass everything on again, what was kept back first."""
        self._do(self._mend)

    def switch(self, target: int) -> None:
        """Reset every connection; new ones lead to another server."""

        def change() -> None:
            self._cut()
            self.target = target
            self._mend()

        self._do(change)

    def _do(self, change: "object") -> None:
        done = threading.Event()

        def run() -> None:
            change()  # type: ignore[operator]
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(10), "the proxy does not answer"

    def _cut(self) -> None:
        self._refuses = True
        for writer in list(self._open):
            writer.transport.abort()

    def _mend(self) -> None:
        self._refuses = False
        self._flows.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        self._open.add(writer)
        await self._flows.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._open.add(far_writer)
        try:
            await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
        finally:
            for each in (writer, far_writer):
                self._open.discard(each)
                each.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while part := await reader.read(65_536):
                await self._flows.wait()
                writer.write(part)
                await writer.drain()
        writer.transport.abort()


@contextmanager
def proxied(target: int) -> Iterator[Proxy]:
    """A proxy to a port of loopback, on a thread of its own until the end."""
    proxy = Proxy(target)
    loop = proxy._loop

    async def begin() -> asyncio.Server:
        proxy._flows.set()
        return await asyncio.start_server(proxy._serve, "127.0.0.1", 0)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:

        async def end() -> None:
            server.close()
            proxy._cut()
            proxy._flows.set()
            if rest := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(rest, timeout=5)

        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
