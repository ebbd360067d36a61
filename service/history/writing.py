"""Write a site's comments out: JSON lines, CSV for spreadsheets, WXR for WordPress.

Knows the three formats. Addresses are masked, in every field and in texts.
"""

import csv
import io
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from itertools import chain, groupby
from xml.sax.saxutils import escape

from model.addresses import mask_addresses
from model.decision import RejectReason
from model.outcome import Outcome
from model.spreadsheet import guarded
from model.submission import CommentType
from service.history.csv_rows import FIELDS
from service.history.records import Status
from service.storage import StoredComment

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def json_lines(comments: Iterable[StoredComment]) -> Iterator[bytes]:
    """A JSON object a line, with the names of `FIELDS`."""
    for comment in comments:
        yield json.dumps(fields_of(comment), ensure_ascii=False).encode() + b"\n"


def csv_lines(comments: Iterable[StoredComment]) -> Iterator[bytes]:
    """CSV (RFC 4180) in UTF-8 with a byte order mark, which spreadsheets look for.

    No spreadsheet takes anything in it for a formula.
    """
    yield "\ufeff".encode() + csv_line(FIELDS)
    for comment in comments:
        yield csv_line(map(guarded, fields_of(comment).values()))


def csv_line(cells: Iterable[str]) -> bytes:
    """A row of cells, each in quotation marks."""
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
    return line.getvalue().encode()


def fields_of(comment: StoredComment) -> dict[str, str]:
    """The fields of a comment by their names, in order; addresses masked."""
    sent, decision = comment.submission, comment.decision
    reason = decision.reason.value if decision and decision.reason else ""
    values = (
        comment.id,
        sent.external_id,
        sent.parent_id,
        status_of(comment).value,
        reason,
        decision.moderator if decision else "",
        decision.at.isoformat() if decision else "",
        sent.type.value,
        sent.content,
        sent.author.name,
        sent.author.url,
        comment.email_masked,
        comment.ip_masked,
        sent.author.user_agent,
        sent.permalink,
        sent.article.title,
        sent.article.language,
        comment.received_at.isoformat(),
    )
    return dict(zip(FIELDS, map(mask_addresses, values), strict=True))


def status_of(comment: StoredComment) -> Status:
    """What other systems would call the state it is in.

    A rejection for another reason than spam is "trash"; what a machine alone rejected is "spam".
    """
    if comment.state is Outcome.ACCEPT:
        return Status.APPROVED
    if comment.state is Outcome.QUEUE:
        return Status.WAITING
    decided = comment.decision
    is_spam = decided is None or decided.reason is RejectReason.SPAM
    return Status.SPAM if is_spam else Status.TRASH


# ------------------------------------------------------------------ WordPress

_HEAD = """<?xml version="1.0" encoding="UTF-8" ?>
<rss version="2.0"
 xmlns:excerpt="http://wordpress.org/export/1.2/excerpt/"
 xmlns:content="http://purl.org/rss/1.0/modules/content/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:wp="http://wordpress.org/export/1.2/">
<channel>
<title>{title}</title>
<wp:wxr_version>1.2</wp:wxr_version>
<wp:base_site_url></wp:base_site_url>
<wp:base_blog_url></wp:base_blog_url>
"""
_APPROVED = {
    Status.APPROVED: "1",
    Status.WAITING: "0",
    Status.SPAM: "spam",
    Status.TRASH: "trash",
}
_TYPES = {CommentType.PINGBACK: "pingback", CommentType.TRACKBACK: "trackback"}


def wxr_parts(
    comments: Iterable[StoredComment], site: str, *, zone: tzinfo = UTC
) -> Iterator[bytes]:
    """WordPress' format, from comments that come with those of an article together.

    The importer of WordPress finds an article by its title, and a comment that is there already
    by its author's name and its time in `zone`, the blog's. Comments have numbers of this file.
    """
    yield _HEAD.format(title=escape(_xml(mask_addresses(site)))).encode()
    number = 0
    by_article = groupby(comments, key=lambda comment: comment.submission.permalink)
    for place, (permalink, of_article) in enumerate(by_article, 1):
        numbers: dict[str, int] = {}
        for at, comment in enumerate(_parents_first(of_article)):
            number += 1
            if at == 0:
                yield _item_head(permalink, comment.submission.article.title, place)
            numbers |= dict.fromkeys((comment.id, comment.submission.external_id), number)
            parent = comment.submission.parent_id
            yield _comment(comment, number, numbers.get(parent, 0) if parent else 0, zone=zone)
        yield b"</item>\n"
    yield b"</channel>\n</rss>\n"


def _parents_first(comments: Iterable[StoredComment]) -> Iterator[StoredComment]:
    """Comments in their order, but for those of one moment, of which an answer comes later."""
    for _, of_moment in groupby(comments, key=lambda comment: comment.received_at):
        listed = list(of_moment)  # thousands where an import had days alone
        names = {name for c in listed for name in (c.id, c.submission.external_id) if name}
        ready: deque[StoredComment] = deque()
        answers: dict[str, list[StoredComment]] = {}
        for comment in listed:
            parent = comment.submission.parent_id
            (answers.setdefault(parent, []) if parent in names else ready).append(comment)
        while ready or answers:
            if not ready:  # a circle is no order
                ready.extend(chain.from_iterable(answers.values()))
                answers = {}
            comment = ready.popleft()
            yield comment
            for name in (comment.id, comment.submission.external_id):
                ready.extend(answers.pop(name, ()))


def _item_head(permalink: str, title: str, place: int) -> bytes:
    link = mask_addresses(permalink)
    parts = (
        f"<item>\n<title>{_cdata(mask_addresses(title) or link)}</title>",
        f"<link>{escape(_xml(link))}</link>",
        f'<guid isPermaLink="false">{escape(_xml(link))}</guid>',
        f"<wp:post_id>{place}</wp:post_id>",
        "<wp:post_date></wp:post_date>",  # with one, WordPress would look for an article of it
        "<wp:status>publish</wp:status>",
        "<wp:post_type>post</wp:post_type>\n",
    )
    return "\n".join(parts).encode()


def _comment(comment: StoredComment, number: int, parent: int, *, zone: tzinfo) -> bytes:
    fields = fields_of(comment)
    at = comment.received_at
    parts = {
        "id": str(number),
        "author": _cdata(fields["author_name"]),
        # WordPress strikes out what masks an address: n•••@gmail.com became n@gmail.com.
        "author_email": _cdata(""),
        "author_url": _cdata(fields["author_url"]),
        # As WordPress makes IPs anonymous: the first of the network, without its length.
        "author_IP": _cdata(fields["author_ip"].partition("/")[0]),
        "date": _cdata(_wordpress_time(at.astimezone(zone))),
        "date_gmt": _cdata(_wordpress_time(at.astimezone(UTC))),
        "content": _cdata(fields["content"]),
        "approved": _cdata(_APPROVED[status_of(comment)]),
        "type": _cdata(_TYPES.get(comment.submission.type, "comment")),
        "parent": str(parent),
        "user_id": "0",
    }
    inside = "\n".join(f"<wp:comment_{n}>{v}</wp:comment_{n}>" for n, v in parts.items())
    return f"<wp:comment>\n{inside}\n</wp:comment>\n".encode()


def _wordpress_time(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def _cdata(text: str) -> str:
    return f"<![CDATA[{_xml(text).replace(']]>', ']]]]><![CDATA[>')}]]>"


def _xml(text: str) -> str:
    """The text with what XML does not allow as U+FFFD."""
    return _NOT_XML.sub("�", text)
