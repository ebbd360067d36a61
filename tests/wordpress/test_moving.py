"""A blog's history out of a real WordPress by its own export, in here, and back by an import."""

import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from model.outcome import Outcome
from service.storage import Site, StoredComment
from tests.wordpress.blog import Blog, why_not
from tests.wordpress.conftest import POLICY, Duyet

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=f"no WordPress: {why_not()}"),
    pytest.mark.waits,
]

NASTY = 'Dấu ngoặc ]]&gt; và <b>đậm</b>, \\gạch chéo\\ &amp; "nháy" it\'s \u202e😀\n\nđoạn hai'
TITLE = 'Cài đặt "WordPress" & <em>hơn</em> thế'

COMMENTS = [
    # what it says, by whom, its kind, where it stands, and which of these it answers
    (NASTY, "Lê Thị Hoà", "comment", "1", 0),
    ("Đúng vậy ạ.", "Nam", "comment", "1", 1),
    ("Ừ, đúng thật!", "Lê Thị Hoà", "comment", "1", 2),
    ("Chờ duyệt nhé.", "Mai", "comment", "0", 0),
    ("Mua thuốc giá rẻ!", "pills", "comment", "spam", 0),
    ("Bình luận bỏ đi.", "Tú", "comment", "trash", 1),
    ("[&#8230;] bài này của bạn [&#8230;]", "Blog bạn", "pingback", "1", 0),
]

_FILL = """
update_option( 'timezone_string', 'Asia/Ho_Chi_Minh' );
$post = wp_insert_post( wp_slash( array( 'post_title' => $it['title'], 'post_status' => 'publish',
    'post_content' => 'Nội dung.' ) ) );
$ids = array( 0 );
foreach ( $it['comments'] as $at => $one ) {
    $gmt = gmdate( 'Y-m-d H:i:s', 1700000000 + 3600 * $at );
    $ids[] = wp_insert_comment( wp_filter_comment( wp_slash( array( 'comment_post_ID' => $post,
        'comment_content' => $one[0], 'comment_author' => $one[1], 'comment_type' => $one[2],
        'comment_approved' => $one[3], 'comment_parent' => $ids[ $one[4] ],
        'comment_author_email' => 'canary' . $at . '@mail.example',
        'user_id' => 0, 'comment_author_url' => '',
        'comment_author_IP' => '198.51.100.7', 'comment_agent' => 'Mozilla/5.0',
        'comment_date_gmt' => $gmt, 'comment_date' => get_date_from_gmt( $gmt ) ) ) ) );
}
$wpdb->update( $wpdb->comments, array( 'comment_author_url' => 'https://blog.example/?a=1&b=2' ),
    array( 'comment_ID' => $ids[1] ) ); // as an import or a ping leaves it
echo $post;
"""

# What WordPress' importer does with a file, by WordPress' own functions.
_BRING_BACK = """
require ABSPATH . 'wp-admin/includes/post.php';
require ABSPATH . 'wp-admin/includes/comment.php';
$dom = new DOMDocument();
$dom->load( $it['file'] );
$xml = simplexml_import_dom( $dom );
$wp  = $xml->getDocNamespaces()['wp'];
$out = array( 'version' => (string) $xml->xpath( '/rss/channel/wp:wxr_version' )[0],
    'site' => count( $xml->xpath( '/rss/channel/wp:base_site_url' ) ), 'new' => 0 );
foreach ( $xml->channel->item as $item ) {
    $fields  = $item->children( $wp );
    $post_id = post_exists( (string) $item->title, '', (string) $fields->post_date );
    if ( ! $post_id || get_post_type( $post_id ) !== (string) $fields->post_type ) {
        $post_id = wp_insert_post( wp_slash( array( 'post_title' => (string) $item->title,
            'post_date' => (string) $fields->post_date, 'post_status' => (string) $fields->status,
            'post_type' => (string) $fields->post_type ) ) );
    }
    $inserted = array();
    foreach ( $fields->comment as $one ) {
        $comment = array( 'comment_post_ID' => $post_id, 'user_id' => 0 );
        foreach ( array( 'author', 'author_email', 'author_IP', 'author_url', 'date', 'date_gmt',
            'content', 'approved', 'type', 'parent' ) as $name ) {
            $comment[ 'comment_' . $name ] = (string) $one->{'comment_' . $name};
        }
        if ( comment_exists( $comment['comment_author'], $comment['comment_date'] ) ) {
            continue;
        }
        $parent = (int) $comment['comment_parent'];
        $comment['comment_parent'] = isset( $inserted[ $parent ] ) ? $inserted[ $parent ] : 0;
        $comment = wp_filter_comment( wp_slash( $comment ) );
        $inserted[ (int) $one->comment_id ] = wp_insert_comment( $comment );
        $out['new'] += (int) ( $it['post'] === (string) $post_id );
    }
    $out['posts'][] = $post_id;
}
echo json_encode( $out );
"""

_STANDING = (
    "SELECT c.comment_content, c.comment_author, c.comment_type, c.comment_approved,"
    " c.comment_date, c.comment_date_gmt, IFNULL(p.comment_content, '')"
    " FROM wp_comments c LEFT JOIN wp_comments p ON p.comment_ID = c.comment_parent"
    " WHERE c.comment_post_ID = {post} AND c.comment_approved IN ({standings})"
    " ORDER BY c.comment_date"
)


class Moved:
    """A blog's article with its comments, exported by WordPress and imported here."""

    def __init__(self, duyet: Duyet, blog: Blog, place: Path) -> None:
        self.duyet, self.blog, self.place = duyet, blog, place
        self.post = blog.run(_told({"title": TITLE, "comments": COMMENTS}) + _FILL)
        self.exported = place / "wordpress.xml"
        export = (
            "require ABSPATH . 'wp-admin/includes/export.php'; ob_start();"
            " export_wp( array( 'content' => 'post' ) ); echo ob_get_clean();"
        )
        self.exported.write_text(blog.run(export))
        self.site, _ = duyet.store.add_site("moved", POLICY)
        self.summary = self.imported(self.exported, "moved")

    def imported(self, file: Path, site: str) -> dict[str, int]:
        words = ("import", str(file), "--site", site, "--queue-waiting", "--json")
        return dict(json.loads(self.duyet.command(*words)))

    def kept(self, site: Site) -> list[StoredComment]:
        """What is here of the article, oldest first."""
        link = f"{self.blog.url}/?p={self.post}"
        found = [c for c in self.duyet.store.kept(site.id) if c.submission.permalink == link]
        return sorted(found, key=lambda comment: comment.received_at)


def _told(what: object) -> str:
    """PHP that has `what` in `$it`."""
    return f"$it = json_decode( <<<'JSON'\n{json.dumps(what)}\nJSON\n, true );"


@pytest.fixture(scope="module")
def moved(both: tuple[Duyet, Blog], tmp_path_factory: pytest.TempPathFactory) -> Moved:
    return Moved(*both, tmp_path_factory.mktemp("moved"))


def test_wordpress_own_export_comes_in_with_what_became_of_each_comment(moved: Moved):
    kept = moved.kept(moved.site)

    # WordPress leaves its spam folder out.
    brought = [one for one in COMMENTS if one[3] != "spam"]
    outcomes = {"1": Outcome.ACCEPT, "0": Outcome.QUEUE, "trash": Outcome.REJECT}
    assert [one.submission.content for one in kept] == [text for text, *_ in brought]
    assert [one.submission.author.name for one in kept] == [name for _, name, *_ in brought]
    assert [one.state for one in kept] == [outcomes[word] for *_, word, _ in brought]
    assert [one.submission.type.value for one in kept] == [
        "comment", "reply", "reply", "comment", "reply", "pingback"
    ]  # fmt: skip
    external = {one.submission.external_id: one.submission.content for one in kept}
    parents = [external.get(one.submission.parent_id, "") for one in kept]
    assert parents == [
        NASTY if at == 1 else COMMENTS[at - 1][0] if at else "" for *_, at in brought
    ]
    assert kept[0].submission.author.url == "https://blog.example/?a=1&b=2"
    assert kept[0].received_at.isoformat() == "2023-11-14T22:13:20+00:00"


def test_approved_comments_are_labels_and_the_trash_is_none(moved: Moved):
    ours = {one.id for one in moved.kept(moved.site)}
    labelled = [
        one for one in moved.duyet.store.labelled([moved.site.id]) if one.id.split(":")[0] in ours
    ]

    assert Counter(one.label.word for one in labelled) == {"ham": 4, "clean": 4}
    assert {one.extra["decided_by"] for one in labelled} == {"import wxr"}


def test_the_same_export_twice_adds_nothing(moved: Moved):
    before = len(moved.kept(moved.site))
    again = moved.imported(moved.exported, "moved")

    assert again["approved"] == again["trash"] == again["waiting"] == again["refused"] == 0
    assert again["known"] + again["passed"] + again["no_comments"] > before
    assert len(moved.kept(moved.site)) == before


def test_our_export_has_wordpress_own_elements_in_wordpress_own_order(moved: Moved):
    ours = moved.place / "ours.xml"
    words = ("export", "comments", "--site", "moved", "--format", "wxr", "-o", str(ours))
    moved.duyet.command(*words)
    own = ElementTree.fromstring(ours.read_text())
    # WordPress does not escape this one, and its own export is no XML then.
    theirs = ElementTree.fromstring(moved.exported.read_text().replace("a=1&b=2", "a=1&amp;b=2"))

    assert own.attrib == theirs.attrib
    for path in ("channel", "channel/item", f"channel/item/{WP}comment"):
        known = list(dict.fromkeys(one.tag for e in theirs.findall(path) for one in e))
        for element in own.findall(path):
            used = list(dict.fromkeys(one.tag for one in element))
            assert [tag for tag in known if tag in used] == used
    assert own.findtext(f"channel/{WP}wxr_version") == theirs.findtext(f"channel/{WP}wxr_version")
    assert "canary" not in ours.read_text()


WP = "{http://wordpress.org/export/1.2/}"


def test_what_goes_out_is_what_came_in_where_wordpress_reads_it(moved: Moved):
    blog, file = moved.blog, moved.place / "back.xml"
    standings = "'1', '0', 'trash'"
    before = blog.query(_STANDING.format(post=moved.post, standings=standings))
    words = ("export", "comments", "--site", "moved", "--format", "wxr", "-o", str(file))
    moved.duyet.command(*words, "--timezone", "Asia/Ho_Chi_Minh")

    nothing = json.loads(blog.run(_told({"file": str(file), "post": moved.post}) + _BRING_BACK))
    blog.query(f"DELETE FROM wp_comments WHERE comment_post_ID = {moved.post}")
    back = json.loads(blog.run(_told({"file": str(file), "post": moved.post}) + _BRING_BACK))

    assert (nothing["version"], nothing["site"], nothing["new"]) == ("1.2", 1, 0)
    assert back["new"] == len(before) == 6
    assert int(moved.post) in back["posts"]
    assert blog.query(_STANDING.format(post=moved.post, standings=standings)) == before
    addresses = "SELECT DISTINCT comment_author_email, comment_author_IP FROM wp_comments"
    assert blog.query(f"{addresses} WHERE comment_post_ID = {moved.post}") == [["", "198.51.100.0"]]


def test_the_table_itself_brings_the_spam_as_well(both: tuple[Duyet, Blog], tmp_path: Path):
    duyet, blog = both
    note = ("Đơn hàng đã gửi.", "WooCommerce", "order_note", "1", 0)  # no reader's
    post = blog.run(_told({"title": "Bài khác", "comments": [*COMMENTS, note]}) + _FILL)
    table = (
        "$out = fopen( 'php://output', 'w' ); $rows = $wpdb->get_results( \"SELECT * FROM"
        f' $wpdb->comments WHERE comment_post_ID = {post}", ARRAY_A );'
        " fputcsv( $out, array_keys( $rows[0] ), ',', '\"', '' );"
        " foreach ( $rows as $row ) { fputcsv( $out, $row, ',', '\"', '' ); }"
    )
    file = tmp_path / "wp_comments.csv"
    file.write_text(blog.run(table))
    site, _ = duyet.store.add_site("table", POLICY)
    counts = json.loads(duyet.command("import", str(file), "--site", "table", "--json"))
    assert (counts["approved"], counts["spam"], counts["trash"]) == (4, 1, 1)
    assert (counts["not_queued"], counts["refused"]) == (1, 0)
    assert counts["no_comments"] == 1
    kept = sorted(duyet.store.kept(site.id), key=lambda comment: comment.received_at)
    assert [one.submission.type.value for one in kept] == [
        "comment", "reply", "reply", "comment", "reply", "pingback"
    ]  # fmt: skip
    assert kept[0].received_at.isoformat() == "2023-11-14T22:13:20+00:00"
