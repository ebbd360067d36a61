"""Texts of a submission as every door takes them: without NUL, addresses masked.

What two doors read differently is judged differently, so each reads by these. Content, name and
address stay as typed; an address has no business in any other field.
"""

import re
from ipaddress import IPv6Address, ip_address

from model.addresses import mask_addresses

USER_AGENT_LENGTH = 1000
URL_LENGTH = 2000
ID_LENGTH = 255

_LONGEST_IP = 100
_BEFORE_PATH = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?(?://)?[^/?#]*")


def storable(text: str) -> str:
    """The text with U+FFFD for each NUL, which no database keeps."""
    return text.replace("\0", "\ufffd")


def masked(text: str) -> str:
    """The text as it can be stored, addresses in it masked."""
    return mask_addresses(storable(text))


def masked_url(url: str) -> str:
    """An author's URL with addresses masked after its host; what is before, the form judges."""
    url = storable(url)
    found = _BEFORE_PATH.match(url)
    end = found.end() if found else 0
    return url[:end] + mask_addresses(url[end:])


def ip_of(text: str) -> str | None:
    """An IP address in its one usual spelling, "" for none, None for what is none.

    An IPv4 address inside IPv6 is just that; one with a zone is none.
    """
    text = text.strip()
    if not text:
        return ""
    if len(text) > _LONGEST_IP:
        return None
    try:
        ip = ip_address(text)
    except ValueError:
        return None
    if isinstance(ip, IPv6Address):
        return None if ip.scope_id else str(ip.ipv4_mapped or ip)
    return str(ip)
