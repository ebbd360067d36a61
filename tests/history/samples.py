"""Small exports as other systems write them, made for these tests."""

import json
import sqlite3
from pathlib import Path
from xml.sax.saxutils import escape

CANARY = "canary-hist-9q@privat.example"

_RSS = """<?xml version="1.0" encoding="UTF-8" ?>
<!-- generator="WordPress/6.5" created="2024-05-01 10:00" -->
<rss version="2.0"
	xmlns:excerpt="http://wordpress.org/export/{version}/excerpt/"
	xmlns:content="http://purl.org/rss/1.0/modules/content/"
	xmlns:dc="http://purl.org/dc/elements/1.1/"
	xmlns:media="http://search.yahoo.com/mrss/"
	xmlns:wp="http://wordpress.org/export/{version}/">
<channel>
<title>Làng báo</title>
<wp:wxr_version>{version}</wp:wxr_version>
<wp:base_site_url>https://blogs.example</wp:base_site_url>
<wp:base_blog_url>{blog}</wp:base_blog_url>
<wp:author><wp:author_email><![CDATA[editor@blogs.example]]></wp:author_email></wp:author>
{items}</channel>
</rss>
"""


def wxr(*items: str, blog: str = "https://blogs.example/a", version: str = "1.2") -> str:
    return _RSS.format(items="".join(items), blog=blog, version=version)


def item(*comments: str, title: str = "Lũ về", link: str = "https://blogs.example/a/lu-ve") -> str:
    return f"""<item>
<title><![CDATA[{title}]]></title><link>{escape(link)}</link>
<media:title>not this one</media:title>
<content:encoded><![CDATA[<p>A long post & more]]></content:encoded>
<wp:post_id>7</wp:post_id><wp:post_date_gmt>2023-01-01 00:00:00</wp:post_date_gmt>
{"".join(comments)}</item>
"""


def comment(number: int = 1, content: str = "Cảm ơn tác giả!", **changes: str) -> str:
    fields = {
        "comment_id": str(number),
        "comment_author": "<![CDATA[An]]>",
        "comment_author_email": f"<![CDATA[{CANARY}]]>",
        "comment_author_url": "https://an.example/",
        "comment_author_IP": "<![CDATA[203.0.113.77]]>",
        "comment_date": "<![CDATA[2023-05-06 14:08:09]]>",
        "comment_date_gmt": "<![CDATA[2023-05-06 07:08:09]]>",
        "comment_content": f"<![CDATA[{content}]]>",
        "comment_approved": "<![CDATA[1]]>",
        "comment_type": "<![CDATA[comment]]>",
        "comment_parent": "0",
        "comment_user_id": "0",
    } | changes
    inside = "".join(f"<wp:{name}>{value}</wp:{name}>\n" for name, value in fields.items())
    meta = "<wp:commentmeta><wp:meta_key>comment_content</wp:meta_key></wp:commentmeta>"
    return f"<wp:comment>\n{inside}{meta}</wp:comment>\n"


def disqus(*posts: str) -> str:
    return f"""<?xml version="1.0" encoding="utf-8"?>
<disqus xmlns="http://disqus.com" xmlns:dsq="http://disqus.com/disqus-internals">
<category dsq:id="1"><forum>lang</forum><title>General</title></category>
<thread dsq:id="20"><id/><forum>lang</forum><category dsq:id="1"/>
<link>https://lang.example/lu-ve</link><title>Lũ về</title><message/>
<createdAt>2020-01-02T03:04:05Z</createdAt>
<author><email>owner@lang.example</email><name>Owner</name></author></thread>
{"".join(posts)}</disqus>
"""


def post(number: int = 1, *, spam: str = "false", deleted: str = "false", parent: str = "") -> str:
    above = f'<parent dsq:id="{parent}"/>' if parent else ""
    return f"""<post dsq:id="{number}"><id>wp_id={number}</id>
<message><![CDATA[<p>Hay quá số {number}</p>]]></message>
<createdAt>2021-02-03T04:05:06Z</createdAt>
<isDeleted>{deleted}</isDeleted><isSpam>{spam}</isSpam>
<author><email>{CANARY}</email><name>An</name><isAnonymous>true</isAnonymous></author>
<ipAddress>203.0.113.77</ipAddress><thread dsq:id="20"/>{above}</post>
"""


def isso_file(path: Path) -> Path:
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE threads (id INTEGER PRIMARY KEY, uri VARCHAR(256) UNIQUE, title VARCHAR(256));
        CREATE TABLE comments (tid REFERENCES threads(id), id INTEGER PRIMARY KEY, parent INTEGER,
            created FLOAT NOT NULL, modified FLOAT, mode INTEGER, remote_addr VARCHAR, text VARCHAR,
            author VARCHAR, email VARCHAR, website VARCHAR, likes INTEGER DEFAULT 0,
            dislikes INTEGER DEFAULT 0, voters BLOB NOT NULL, notification INTEGER DEFAULT 0);
        INSERT INTO threads VALUES (1, '/lu-ve', 'Lũ về');
        """
    )
    row = """INSERT INTO comments
        VALUES (1, ?, ?, ?, NULL, ?, '203.0.113.0', ?, 'An', ?, NULL, 0, 0, '', 0)"""
    for number, parent, mode, text in (
        (1, None, 1, "Hay *quá*"),
        (2, 1, 2, "Đang chờ"),
        (3, 1, 4, ""),
        (4, None, 4, "Bị xoá"),
    ):
        connection.execute(row, (number, parent, 1583000000.25 + number, mode, text, CANARY))
    connection.commit()
    connection.close()
    return path


def remark42(*, deleted: bool = False) -> str:
    users: list[object] = [{"id": "github_2"}, 7, {"id": "github_1", "details": {"email": CANARY}}]
    meta = {"version": 1, "users": users, "posts": [{"url": "https://r.example"}]}
    first = {
        "id": "c1",
        "pid": "",
        "text": "<p>Hay <b>quá</b></p>",
        "orig": "Hay **quá**",
        "user": {"name": "An", "id": "github_1", "ip": "293ec5b0cf154855", "admin": False},
        "locator": {"site": "lang", "url": "https://r.example/lu-ve"},
        "time": "2022-03-04T05:06:07.123456789-06:00",
        "title": "Lũ về",
    }
    second = first | {"id": "c2", "pid": "c1", "orig": "", "delete": deleted}
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in (meta, first, second))


def commento(**first: object) -> str:
    comment = {
        "commentHex": "aa",
        "domain": "lang.example",
        "url": "/lu-ve",
        "commenterHex": "p1",
        "markdown": "Hay **quá**",
        "html": "",
        "parentHex": "root",
        "state": "approved",
        "creationDate": "2021-03-17T12:09:47.722181Z",
        "deleted": False,
    } | first
    flagged = comment | {"commentHex": "bb", "parentHex": "aa", "state": "flagged"}
    gone = comment | {"commentHex": "cc", "markdown": "[deleted]"}
    people = [{"commenterHex": "p1", "email": CANARY, "name": "An", "link": "https://an.example"}]
    body = {"version": 1, "comments": [comment, flagged, gone], "commenters": people}
    return json.dumps(body, ensure_ascii=False)


def comentario() -> str:
    def one(number: int, **changes: object) -> dict[str, object]:
        return {
            "id": f"c{number}",
            "pageId": "g1",
            "markdown": f"Hay {number}",
            "createdTime": "2024-01-02T03:04:05.000Z",
            "userCreated": "p1",
            "isApproved": False,
            "isPending": False,
            "isDeleted": False,
            "url": f"https://lang.example/lu-ve#comentario-c{number}",
        } | changes

    nobody = "00000000-0000-0000-0000-000000000000"
    comments = [
        one(1, isApproved=True),
        one(2, isPending=True, parentId="c1"),
        one(3),
        one(4, isApproved=True, userCreated=nobody, authorName="Khách"),
    ]
    pages = [{"id": "g1", "domainId": "d", "path": "/lu-ve", "title": "Lũ về"}]
    people = [{"id": "p1", "email": CANARY, "name": "An", "websiteUrl": "https://an.example"}]
    body = {"version": 3, "pages": pages, "comments": comments, "commenters": people}
    return json.dumps(body, ensure_ascii=False, indent=1)
