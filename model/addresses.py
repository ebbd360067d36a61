"""Email addresses: hide them wherever they occur, read one, say what its domain tells.

Knows syntax and lists of domains, never the network (see `service.deliverability`). No error,
`repr` or message made here holds an address.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from disposable_email_domains import blocklist
from email_validator import SPECIAL_USE_DOMAIN_NAMES, validate_email
from email_validator.rfc_constants import CASE_INSENSITIVE_MAILBOX_NAMES
from publicsuffixlist import PublicSuffixList

MASK = "•••"
LONGEST_ADDRESS = 320  # 64 + 1 + 255: nothing longer can be one, so nothing longer is parsed

# ------------------------------------------------------------------ hiding

# Every way an at sign travels: itself, its two wide forms, percent-encoded (again and again, as
# redirects do), HTML references (the semicolon is optional to browsers), and JSON.
# Each way begins with a letter of its own and not with a set: the search then skips to those.
_AT = (
    r"@|＠|﹫"
    r"|%(?:25){0,4}(?:40|EF%(?:25){0,4}BC%(?:25){0,4}A0|EF%(?:25){0,4}B9%(?:25){0,4}AB)|%u0040"
    r"|&(?:amp;){0,4}(?:#0*(?:64|65312|65131)(?![0-9])|#x0*(?:40|FF20|FE6B)(?![0-9a-f])|commat);?"
    r"|\\u0040"
)
_DOT = (
    r"(?:[.。．｡﹒․]|%(?:25){0,4}2E|&(?:amp;){0,4}(?:#0*46(?![0-9])|#x0*2E(?![0-9a-f])|period);?)"
)
# Letters of any script with their marks, and invisible characters, which readers do not see;
# not the punctuation that ends a word. A NUL or a control character ends it too.
_NOT_IN_DOMAIN = (
    r"\s\x00-\x2c./:-@\[-^`{-\x9f"
    r"“”‘’„«»…–—。．｡﹒․、，；：！？（）【】「」《》〈〉＠﹫"
)
# References to & < > " and a blank are those characters, whatever follows.
_LABEL = (
    rf"(?:[^{_NOT_IN_DOMAIN}]|(?!{_AT}|{_DOT})"
    r"(?:%[0-9a-f]{2}|&(?!(?:amp|lt|gt|quot|nbsp);)#?[0-9a-z]{1,31};))++"
)
# ASCII that no unquoted local part may hold, and / ? = & # as well: allowed there, but what stands
# before an address in a URL or a log line ("?email=") far more often than within one.
_NOT_IN_LOCAL = r"\s\x00-\x20\"#&(),/:;<=>?@\[\\\]\x7f＠﹫“”„«»（），；：、【】「」《》〈〉"

_AT_SIGN = re.compile(_AT, re.IGNORECASE)
_DOMAIN = re.compile(rf"{_LABEL}(?:{_DOT}{_LABEL})++|\[(?:ipv6:)?[0-9a-f.:]++\]", re.I)
_ONE_LABEL = re.compile(rf"{_DOT}|{_LABEL}", re.I)
# Applied to reversed text, so that the search for the start of a local part is one match.
# References to characters that no local part holds (& < > " and a blank) end it.
_LOCAL_REVERSED = re.compile(
    rf"(?:[^{_NOT_IN_LOCAL}]|;(?!(?:pma|tl|tg|touq|psbn)&)[0-9A-Za-z]{{1,31}}#?(?:;pma)*&)*+"
)
_BEFORE_LOCAL = re.compile(r"[^\w%&•]+")
_MASKED = re.compile(r"[^\W_]?(?:•••|(?:%E2%80%A2){3})|\"•••\"")
_HOST = re.compile(
    rf"(?:[^{_NOT_IN_DOMAIN}]{{1,63}}[.](?=[^{_NOT_IN_DOMAIN}])){{0,9}}[^{_NOT_IN_DOMAIN}]{{1,63}}"
)


def mask_address(email: str) -> str:
    """An address as it may be shown: "nam@gmail.com" becomes "n•••@gmail.com".

    A local part of one letter shows none. Whatever is not an address is masked as well: at
    most its first letter and what follows its last at sign, if that could be a host, remain.
    """
    text = email.strip()
    if not text:
        return ""
    ats = list(_AT_SIGN.finditer(text))
    if not ats:
        return _masked_local(text)
    host = _HOST.match(text, ats[-1].end())
    return f"{_masked_local(text[: ats[-1].start()])}@{host.group() if host else ''}"


def mask_addresses(text: str) -> str:
    """The text with every address in it masked, other text untouched; the same object if none.

    Finds addresses plain, with letters of any script, inside URLs and `mailto:`,
    percent-encoded, and with HTML references for the at sign or dots. Takes time linear in
    the length of the text.
    """
    found = addresses_in(text)
    if not found:
        return text
    parts: list[str] = []
    kept = 0
    for address in found:
        parts += (text[kept : address.start], address.masked_local)
        kept = address.at
    return "".join(parts) + text[kept:]


def has_address(text: str) -> bool:
    """Whether an address that is not masked occurs in the text."""
    return bool(addresses_in(text))


@dataclass(frozen=True, slots=True)
class FoundAddress:
    """Where an address stands in a text: its start, its at sign, its end (exclusive).

    `masked_local` is what may be shown for the part from `start` to `at`.
    """

    start: int
    at: int
    end: int
    masked_local: str


def addresses_in(text: str) -> list[FoundAddress]:
    """The addresses in the text that are not masked yet, in order, apart from each other.

    The parts from `start` to `at` never overlap; a domain may be the next one's local part.
    """
    if not _may_have_address(text):
        return []
    found: list[FoundAddress] = []
    searched = 0
    for at in _AT_SIGN.finditer(text):
        end = _domain_end(text, at.end())
        if end:
            start = _local_start(text, searched, at.start())
            local = text[start : at.start()]
            if local and not _MASKED.fullmatch(local):
                found.append(FoundAddress(start, at.start(), end, _masked_quoted(local)))
        searched = at.end()
    return found


def has_at_sign(text: str) -> bool:
    """Whether an at sign occurs in the text in any of the ways it travels."""
    return _may_have_address(text) and _AT_SIGN.search(text) is not None


def _may_have_address(text: str) -> bool:
    # Six substring tests cost a tenth of the pattern; most comments have none of these.
    return (
        "@" in text or "%" in text or "&" in text or "＠" in text or "﹫" in text or "\\u" in text
    )


def _domain_end(text: str, start: int) -> int:
    """Where the domain of two labels or more that begins there ends, 0 if there is none.

    A version, as in react@18.2.0, is none.
    """
    domain = _DOMAIN.match(text, start)
    if domain is None:
        return 0
    if text[start] == "[":
        return domain.end()
    labels: list[str] = _ONE_LABEL.findall(domain.group())
    return 0 if labels[-1].isdecimal() else domain.end()


def _local_start(text: str, since: int, end: int) -> int:
    """Where the local part that ends at `end` begins; `end` itself when there is none."""
    gap = text[since:end]
    if gap.endswith('"'):
        opening = gap.rfind('"', 0, -1)
        return end if opening < 0 else since + opening
    run = _LOCAL_REVERSED.match(gap[::-1])
    start = end - (run.end() if run else 0)
    # Quotes, dashes and bullets before the first letter are the sentence's, unless all is such.
    before = _BEFORE_LOCAL.match(text, start, end)
    return before.end() if before and before.end() < end else start


def _masked_quoted(local: str) -> str:
    return f'"{MASK}"' if local.startswith('"') else _masked_local(local)


def _masked_local(local: str) -> str:
    first = local[:1]
    return (first if len(local) > 1 and first.isalnum() else "") + MASK


# ------------------------------------------------------------------ reading


class AddressProblem(ValueError):
    """A text that is no usable address. `code` is `invalid_email` or `reserved_domain`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """An address in normal form. `str` and `repr` show it masked; read the fields for the rest.

    `domain` is in lower-case ASCII (punycode); `normalized` has the domain in its own script
    and the local part as typed, in NFC.
    """

    local: str
    domain: str
    normalized: str

    def __repr__(self) -> str:
        return f"Address({mask_address(self.normalized)})"


@dataclass(frozen=True, slots=True)
class AddressFacts:
    """What an address tells without asking anyone. Facts, never errors.

    `registered_domain` is the domain below its public suffix; `local_length` counts
    characters, `digits_share` in [0, 1] how many of them are digits.
    """

    domain: str
    registered_domain: str
    is_disposable: bool
    is_role: bool
    is_freemail: bool
    local_length: int
    digits_share: float


def read_address(text: str) -> Address:
    """The address that `text` is, by RFC 5321 with SMTPUTF8 and IDNA 2008.

    No display names, quoted local parts or IP addresses for a domain. DNS is not asked.
    Raises AddressProblem.
    """
    try:
        valid = _validated(text)
    except ValueError:
        code = "reserved_domain" if _is_only_reserved(text) else "invalid_email"
    else:
        return valid
    raise AddressProblem(code)  # outside the handler: a chained error would quote the address


def _validated(text: str) -> Address:
    if len(text) > LONGEST_ADDRESS:
        raise ValueError
    local, _, domain = text.rpartition("@")
    if _PLAIN_LOCAL.fullmatch(local) and local.lower() not in CASE_INSENSITIVE_MAILBOX_NAMES:
        ascii_domain, normalized, size = _validated_domain(domain)
        if len(local) + 1 + size <= 254:
            return Address(local, ascii_domain, f"{local}@{normalized}")
    # strict: at most 64 bytes before the at sign
    valid = validate_email(text, check_deliverability=False, allow_smtputf8=True, strict=True)
    return Address(valid.local_part, valid.ascii_domain, valid.normalized)


# What the validator takes as it is; it takes more.
_PLAIN_LOCAL = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*")


@lru_cache(maxsize=4096)
def _validated_domain(domain: str) -> tuple[str, str, int]:
    """A domain in ASCII and in its own script, and how long it is; most addresses share a few."""
    valid = validate_email(f"a@{domain}", check_deliverability=False)
    size = max(len(valid.ascii_domain), len(valid.domain.encode()))
    return valid.ascii_domain, valid.domain, size


def _is_only_reserved(text: str) -> bool:
    local, _, domain = text.rpartition("@")
    labels = domain.lower()
    if not any(labels == name or labels.endswith("." + name) for name in SPECIAL_USE_DOMAIN_NAMES):
        return False
    try:
        _validated(f"{local}@example.com")
    except ValueError:
        return False
    return True


PUBLIC_SUFFIXES = PublicSuffixList(accept_unknown=True)
"""Read once, for `model.links` too: the list is long."""


@lru_cache(maxsize=4096)
def registered_domain(host: str) -> str:
    """The part of a host that someone registered ("shop.x.co.uk" gives "x.co.uk").

    `host` is in lower-case ASCII. Public suffixes, IP addresses and hosts without a dot come
    back as they are.
    """
    if host.endswith("]") or host.rpartition(".")[2].isdecimal():
        return host
    registered: str | None = PUBLIC_SUFFIXES.privatesuffix(host)
    return registered or host


def facts_of_address(address: Address) -> AddressFacts:
    """What the address tells without asking anyone."""
    local, domain = address.local, address.domain
    mailbox = local.lower().partition("+")[0]
    digits = 0 if local.isalpha() else sum(map(str.isdigit, local))
    registered, is_disposable = _facts_of_domain(domain)
    return AddressFacts(
        domain,
        registered,
        is_disposable,
        is_role=mailbox.translate(_JOINING) in ROLES,
        is_freemail=domain in FREEMAIL,
        local_length=len(local),
        digits_share=digits / len(local),
    )


_JOINING = dict.fromkeys(map(ord, ".-_"))  # what an office's mailbox may be written with


@lru_cache(maxsize=4096)
def _facts_of_domain(domain: str) -> tuple[str, bool]:
    """Its registered domain, and whether it is disposable."""
    labels = domain.split(".")
    is_disposable = any(".".join(labels[at:]) in blocklist for at in range(len(labels) - 1))
    return registered_domain(domain), is_disposable


# Mailboxes of an office, not of a person: RFC 2142, then what sites in English and Vietnamese use.
_ROLES = """
    abuse hostmaster noc postmaster security webmaster ftp www uucp usenet news
    accounts admin administrator billing careers contact contactus customerservice donotreply
    editor enquiries enquiry feedback hello help helpdesk hr info information inquiry jobs mail
    mailerdaemon marketing media newsletter noreply office orders press privacy root sales
    service spam staff subscribe support sysadmin team tech unsubscribe
    baogia baohanh banbientap bandoc bienbientap biensoan chamsockhachhang congty cskh daotao
    dathang dichvu donhang duan giaovu gopy hanhchinh hoidap hoptac hotro hotrokhachhang ketoan
    khachhang kinhdoanh kythuat lienhe marketingonline nhansu phongketoan phongkinhdoanh
    phongnhansu quangcao quantri quantrivien quanly thongtin toasoan truyenthong tuvan tuyendung
    tuyensinh vanphong vanthu
"""
_FREEMAIL = """
    126.com 163.com 21cn.com aim.com alice.it aol.com arcor.de bigpond.com bk.ru bluewin.ch
    bol.com.br btinternet.com comcast.net cox.net daum.net duck.com email.cz fastmail.com
    fastmail.fm foxmail.com free.fr freenet.de gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.net
    googlemail.com hanmail.net hey.com hotmail.co.uk hotmail.com hotmail.com.vn hotmail.de
    hotmail.es hotmail.fr hotmail.it icloud.com inbox.lv inbox.ru laposte.net libero.it list.ru
    live.co.uk live.com live.fr live.nl mac.com mail.com mail.ru mailbox.org me.com msn.com
    naver.com o2.pl onet.pl orange.fr outlook.com outlook.com.vn outlook.de outlook.es
    outlook.fr pm.me posteo.de posteo.net proton.me protonmail.ch protonmail.com qq.com
    rambler.ru rediffmail.com rocketmail.com runbox.com sbcglobal.net seznam.cz sina.com
    sina.cn sohu.com t-online.de terra.com.br tutanota.com tutamail.com tuta.io ukr.net
    uol.com.br verizon.net virgilio.it wanadoo.fr web.de wp.pl ya.ru yahoo.ca yahoo.co.id
    yahoo.co.in yahoo.co.jp yahoo.co.uk yahoo.com yahoo.com.au yahoo.com.br yahoo.com.ph
    yahoo.com.sg yahoo.com.tw yahoo.com.vn yahoo.de yahoo.es yahoo.fr yahoo.it yandex.com
    yandex.ru yeah.net ymail.com zing.vn zoho.com
    dng.vnn.vn fpt.vn hcm.fpt.vn hcm.vnn.vn hn.vnn.vn saigonnet.vn vnn.vn viettel.vn yahoo.vn
"""
ROLES = frozenset(_ROLES.split())
FREEMAIL = frozenset(_FREEMAIL.split())
