"""What is answered to Akismet's clients: exact words, and headers that some cannot do without.

Knows how a site wants the outcome `queue` to be spoken. Clients differ in what they make of an
answer; docs/akismet.md has the table.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from model.outcome import Outcome
from service.storage import AkismetChoices, QueueSpoken

SPAM, HAM, INVALID = "true", "false", "invalid"
HELD = "held"
"""Neither spam nor ham, for the one client that waits then and asks again."""

THANKS = "Thanks for making the web a better place."

RECHECK_SECONDS = 86_400
"""After how long WordPress, which asks again after twice that, may go on without a person."""

_GUID = "X-akismet-guid"
_ERROR = "X-akismet-error"
_WAITING = "waiting-for-a-moderator"
_UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Answer:
    """Words as they go out, and headers."""

    text: str
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "text/plain; charset=utf-8"
    status: int = 200


def new_guid() -> str:
    """The id of a check that nothing was stored of."""
    return str(uuid.uuid4())


def invalid(why: str, *, guid: str = "") -> Answer:
    """What a wrong key or an unusable call is told; `why` is for developers."""
    return Answer(INVALID, {"X-akismet-debug-help": why} | ({_GUID: guid} if guid else {}))


def spoken(
    outcome: Outcome,
    choices: AkismetChoices,
    *,
    guid: str,
    user_agent: str,
    has_callback: bool,
) -> Answer:
    """A verdict, or what came of it since, in the words the site chose."""
    headers = {_GUID: guid}
    if outcome is Outcome.ACCEPT:
        return Answer(HAM, headers)
    if outcome is Outcome.REJECT:
        return Answer(SPAM, headers)
    match choices.queue:
        case QueueSpoken.ACCEPT:
            return Answer(HAM, headers)
        case QueueSpoken.RECHECK if has_callback and _knows_recheck(user_agent):
            return Answer(HAM, headers | {"X-akismet-recheck-after": str(RECHECK_SECONDS)})
        case QueueSpoken.PENDING | QueueSpoken.RECHECK:
            return _held(headers, _WAITING, user_agent)
        case _:
            return Answer(SPAM, headers)


_PLUGIN = re.compile(r"WordPress/.{0,40}Akismet/(\d{1,4})\.(\d{1,4})")
_FIRST_PLUGIN = (5, 5)


def _knows_recheck(user_agent: str) -> bool:
    """Whether a client that can be called back holds a comment meanwhile.

    Older plugins of WordPress, for which integrations/wordpress names an address, publish it.
    """
    if not user_agent.startswith("WordPress/"):
        return True
    found = _PLUGIN.match(user_agent)
    return found is not None and (int(found[1]), int(found[2])) >= _FIRST_PLUGIN


def discarded(answer: Answer) -> Answer:
    """Spam that the client need not even keep."""
    return Answer(SPAM, {**answer.headers, "X-akismet-pro-tip": "discard"})


def unavailable(*, user_agent: str, retry_after: str = "") -> Answer:
    """What is said when there is no verdict: of all answers the one that publishes nothing.

    WordPress holds such a comment and asks again; others take it for spam, which a person can
    bring back.
    """
    headers = {_GUID: new_guid()} | ({"Retry-After": retry_after} if retry_after else {})
    return _held(headers, _UNAVAILABLE, user_agent)


def _held(headers: Mapping[str, str], code: str, user_agent: str) -> Answer:
    # Discourse leaves a post in sight that comes back with an error, and hides one that is spam.
    if user_agent.startswith("Discourse/"):
        return Answer(SPAM, headers)
    # WordPress holds a new comment for the header, but reads the words alone when it asks again;
    # only what is neither leaves the comment where it is. Others publish what is not spam.
    said = HELD if user_agent.startswith("WordPress/") else SPAM
    return Answer(said, {**headers, _ERROR: code})
