"""Whether a domain takes mail, asked of DNS in the background and remembered.

Knows DNS and time. Does not know addresses (it is given domains alone) nor what the answer
leads to, and never makes a verdict wait longer than its caller allows.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from email_validator import EmailUndeliverableError, caching_resolver, validate_email

if TYPE_CHECKING:
    from dns.resolver import Resolver  # dozens of modules that few sites ever need


class Deliverability:
    """Remembers which domains take mail, and finds out about others in the background.

    Answers are kept for a day, refusals an hour (a new domain may just be being set up), and
    that nothing could be learnt for a minute. At most `most_known` domains are remembered, the
    least recently asked forgotten first; at most `workers` are looked up at a time and
    `most_waiting` wait for that, further ones being unknown until asked again.

    `time_limit` bounds each question to DNS; a domain takes up to four (MX, A, AAAA, TXT).
    `resolver` None means the system's. `now` counts seconds from anywhere.
    """

    KEEP: dict[bool | None, timedelta] = {  # noqa: RUF012 - a constant table
        True: timedelta(days=1),
        False: timedelta(hours=1),
        None: timedelta(minutes=1),
    }

    def __init__(
        self,
        *,
        resolver: "Resolver | None" = None,
        time_limit: timedelta = timedelta(seconds=2),
        workers: int = 4,
        most_waiting: int = 200,
        most_known: int = 10_000,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolver = resolver
        self._time_limit = time_limit
        self._most_waiting = most_waiting
        self._most_known = most_known
        self._now = now
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[bool | None, float]] = OrderedDict()
        self._asked: dict[str, Future[None]] = {}
        self._is_closed = False
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="deliverability")

    def known(self, domain: str, *, wait: timedelta = timedelta(0)) -> bool | None:
        """Whether `domain` (lower-case ASCII) takes mail; None when that is not known (yet).

        Answers at once, or within `wait`, having started a lookup if there was no fresh
        answer. Never raises; a DNS that fails or is late gives None.
        """
        with self._lock:
            if domain in self._known and self._known[domain][1] > self._now():
                self._known.move_to_end(domain)
                return self._known[domain][0]
            lookup = self._lookup_of(domain)
        if lookup is None or not wait:
            return None
        wait_for([lookup], timeout=wait.total_seconds())
        with self._lock:
            return self._known.get(domain, (None, 0.0))[0]

    def close(self) -> None:
        """Start no further lookups. Those under way end by themselves, within the limit."""
        with self._lock:
            self._is_closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lookup_of(self, domain: str) -> Future[None] | None:
        """The lookup under way for a domain, started if need be. The lock is held."""
        if domain in self._asked:
            return self._asked[domain]
        if self._is_closed or len(self._asked) >= self._most_waiting:
            return None
        lookup = self._pool.submit(self._look_up, domain)
        self._asked[domain] = lookup
        return lookup

    def _look_up(self, domain: str) -> None:
        answer: bool | None = None
        try:
            answer = self._ask(domain)
        finally:
            with self._lock:
                self._known[domain] = (answer, self._now() + self.KEEP[answer].total_seconds())
                self._known.move_to_end(domain)
                while len(self._known) > self._most_known:
                    self._known.popitem(last=False)
                self._asked.pop(domain, None)

    def _ask(self, domain: str) -> bool | None:
        from dns.exception import DNSException  # noqa: PLC0415  with the first lookup, as above

        try:
            if self._resolver is None:  # here and not at the start: reading its settings may fail
                limit = max(1, round(self._time_limit.total_seconds()))
                self._resolver = caching_resolver(timeout=limit)
            self._resolver.lifetime = self._time_limit.total_seconds()
            # Any mailbox would do: only the domain is asked about.
            found = validate_email(f"postmaster@{domain}", dns_resolver=self._resolver)
        except EmailUndeliverableError:
            return False
        except (ValueError, DNSException, OSError):  # no domain, no resolver, no network
            return None
        # SERVFAIL and time-outs say nothing of the domain; email-validator then gives no `mx`.
        return True if getattr(found, "mx", None) else None
