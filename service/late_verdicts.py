"""Tells sites what a person decided after their clients had been told to wait.

In the words of Akismet's webhook, from the outbox, until it is taken or given up.
"""

import hmac
import json
import logging
from collections.abc import Callable
from datetime import datetime

from service.callbacks import Answered, Refused, Unreached, post
from service.storage import LateVerdict, Store

log = logging.getLogger(__name__)

AT_ONCE = 20
SIGNATURE = "X-Duyet-Signature"


class LateVerdicts:
    """Delivers what is due. Any number of processes may do so at the same time."""

    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    def deliver(self) -> int:
        """Deliver what is due now; how many were taken. Raises StoreUnavailable."""
        taken, begun = 0, self._now()
        silent: set[str] = set()  # sites that a call waited for in vain; the others go on
        for _ in range(AT_ONCE):
            # One by one: the lease of one that waits for twenty calls would run out.
            delivery = self._store.claim_late_verdict(begun)
            if delivery is None:
                break
            problem, is_final = self._problem(delivery, silent)
            if problem:
                what = "given up" if is_final else "tried again later"
                log.warning("a late verdict is %s: %s", what, problem)
            self._store.settle_late_verdict(delivery, problem=problem, is_final=is_final)
            taken += not problem
        return taken

    def _problem(self, delivery: LateVerdict, silent: set[str]) -> tuple[str, bool]:
        """What was wrong with a delivery, "" for nothing, and whether it always will be."""
        if delivery.is_spam is None:
            return "", True
        if not delivery.choices.may_call(delivery.url):
            return "its address is not registered any more", True
        if delivery.site_id in silent:
            return "its site did not answer another call just now", False
        body = body_of(delivery)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Duyet",
            SIGNATURE: signature(delivery.key, body, at=self._now()),
        }
        reaches_private = delivery.choices.reaches_private
        try:
            answer = post(delivery.url, body, headers, reaches_private=reaches_private)
        except Refused as problem:
            return str(problem), True
        except Unreached as problem:
            silent.add(delivery.site_id)
            return str(problem), False
        return _problem_in(answer, delivery.comment_id)


def body_of(delivery: LateVerdict) -> bytes:
    """The webhook's body: no address, no text, only which comment and what it is."""
    result = "true" if delivery.is_spam else "false"
    comments = [{"guid": delivery.comment_id, "result": result}]
    told = {"key": delivery.key, "endpoint": "comment-check", "comments": comments}
    return json.dumps(told).encode()


def signature(key: str, body: bytes, *, at: datetime) -> str:
    """A time and an HMAC-SHA256 over it and the body, by the site's key: `t=…,v1=…`."""
    seconds = str(int(at.timestamp()))
    signed = hmac.digest(key.encode(), seconds.encode() + b"." + body, "sha256")
    return f"t={seconds},v1={signed.hex()}"


def _problem_in(answer: Answered, guid: str) -> tuple[str, bool]:
    if not 200 <= answer.status < 300:
        is_final = answer.status in {400, 404, 410}
        return f"it answered {answer.status}", is_final
    try:
        status = json.loads(answer.body)["comments"][guid]["status"]
    except (ValueError, LookupError, TypeError):
        return "it answered in other words than the webhook's", False
    return ("", True) if status == "success" else ("it does not know the comment", True)
