"""Where a commenter sees what became of their comment: addresses that nobody can guess.

Knows the keyring and the service's public address. A token is computed, not stored, and says
nothing of the comment or its site.
"""

from service.keyring import Keyring

PATH = "/status"
_PURPOSE = "status"


class StatusLinks:
    """The addresses of commenters' pages; "" where the service has no public address."""

    def __init__(self, keyring: Keyring, public_url: str) -> None:
        self._token = keyring.link_token
        self._begin = f"{public_url}{PATH}/" if public_url else ""

    def __call__(self, comment_id: str) -> str:
        """The address for one comment. A microsecond or two: every verdict has one."""
        if not self._begin:
            return ""
        return f"{self._begin}{comment_id}/{self._token(_PURPOSE, comment_id)}"


def is_of(keyring: Keyring, comment_id: str, token: str) -> bool:
    """Whether a token is the one of this comment, whether there is such a comment or not."""
    return keyring.owns_link(token, _PURPOSE, comment_id)


def path_of(keyring: Keyring, comment_id: str) -> str:
    """The path of a comment's page."""
    return f"{PATH}/{comment_id}/{keyring.link_token(_PURPOSE, comment_id)}"
