"""The digest by mail: to whom, when, what is in it, and what happens when it cannot be sent."""

import os
import re
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from duyet.cli import run
from model.policy import Policy
from service.diagnosis import Patient, mail
from service.digest import CONFIRM, STOP, DigestPost, link_path
from service.mail import Mail, Mailer, Server, Unsent
from service.settings import SettingsError, load_settings
from service.storage import Role, utc_now
from service.storage.accounts_people import People
from service.storage.digests import (
    LEASE,
    MOST_CONFIRMATIONS,
    MOST_REFUSALS,
    Digests,
    Every,
    TooManyConfirmations,
    first_moment,
)
from service.storage.inspection import inspected
from service.storage.jobs import Jobs
from service.storage.status_pages import StatusPages
from service.storage.tables import digests as digests_table
from tests.browser.newsroom import Newsroom, form_token, open_newsroom
from tests.certificates import certificate
from tests.desk.mailbox import OK, Mailbox, knows, mail_server
from tests.desk.test_status import rejected
from tests.storage.cases import Clock

MAI = "mai.le@toa-soan.example"
URL = "https://duyet.example"
SENDER = "Duyet <duyet@toa-soan.example>"


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as box:
        yield box


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Newsroom]:
    with open_newsroom(tmp_path) as room:
        yield room


def mailer_to(box: Mailbox) -> Mailer:
    return Mailer(Server.of(f"smtp://127.0.0.1:{box.port}?tls=off"), SENDER)


def post_of(room: Newsroom, box: Mailbox) -> DigestPost:
    return DigestPost(room.store, mailer_to(box), URL)


def wants(
    room: Newsroom, *, every: Every = Every.DAY, hour: int = 7, name: str = "mai", **roles: Role
) -> str:
    """Somebody who confirmed an address; their id."""
    known = {one.name: one for one in room.store.moderators()}
    who = known.get(name) or room.store.add_moderator(name, roles.get("role", Role.MODERATOR))
    digests = Digests(room.store)
    parcel = digests.choose(who, address=MAI, language="en", every=every, hour=hour)
    assert parcel
    assert digests.confirm(who.id, parcel.link_id)
    return who.id


def text_of(box: Mailbox, at: int = -1) -> str:
    text: str = box.mails[at].get_content()
    return text.replace("\r\n", "\n")


# ------------------------------------------------------------------ what is in it


def test_a_digest_says_what_waits_in_numbers_and_nothing_that_anybody_wrote(
    room: Newsroom, box: Mailbox
) -> None:
    wants(room)
    for _ in range(6):
        room.put()
    StatusPages(room.store).appeal(rejected(room, "one of its own"), "canary words")
    room.clock.advance(days=1)

    assert post_of(room, box).send_due() == 1

    mail, text = box.mails[0], text_of(box)
    assert box.to == [[MAI]]
    assert mail["Subject"] == "7 waiting in the Duyet queue"
    assert mail.get_content_type() == "text/plain"
    assert "bao: 7, the oldest since 1 Mar 2026, 12:01 UTC" in text
    assert "appealed by their authors: 1" in text
    assert "copies: 6, of 1 text that" in text
    assert f"{URL}/queue" in text
    for kept in ("Vay", "Kiệm", "canary", "nhanh", "Lãi suất", "thu.example", "203.0"):
        assert kept not in text
    assert max(len(line) for line in box.raw[0].split(b"\r\n")) <= 130


def test_who_administers_every_site_is_told_that_a_training_failed_and_nobody_else(
    room: Newsroom, box: Mailbox
) -> None:
    jobs = Jobs(room.store)
    room.clock.advance(hours=1)
    wants(room, name="an", role=Role.ADMIN)
    wants(room, name="mai")
    jobs.ended(jobs.ask(by="nightly"), result={}, problem="canary words of a comment")
    room.clock.advance(days=1)

    assert post_of(room, box).send_due() == 1

    assert box.mails[0]["Subject"] == "A training of the Duyet model failed"
    assert f"{URL}/models" in text_of(box)
    assert "canary" not in text_of(box)
    room.clock.advance(days=1)
    assert post_of(room, box).send_due() == 0  # told once, where nothing waits
    jobs.ended(jobs.ask(by="an"), result={})
    room.put()
    room.clock.advance(days=1)
    assert post_of(room, box).send_due() == 2
    assert not any("/models" in text_of(box, at) for at in (-1, -2))


def test_it_is_about_the_sites_that_its_reader_decides_on(room: Newsroom, box: Mailbox) -> None:
    shop, _ = room.store.add_site("shop", Policy())
    who = room.store.add_moderator("lan", Role.MODERATOR, site_id=shop.id)
    digests = Digests(room.store)
    parcel = digests.choose(who, address=MAI, language="vi", every=Every.DAY, hour=7)
    assert parcel
    digests.confirm(who.id, parcel.link_id)
    room.put()
    room.clock.advance(days=1)

    sent_while_only_another_site_has_some = post_of(room, box).send_due()
    room.clock.advance(days=1)

    assert sent_while_only_another_site_has_some == 0
    assert box.mails == []


def test_its_links_ask_and_its_headers_stop_it_with_one_click(room: Newsroom, box: Mailbox) -> None:
    mai = wants(room)
    room.put()
    room.clock.advance(days=1)
    post_of(room, box).send_due()
    mail = box.mails[0]
    stop = mail["List-Unsubscribe"].strip("<>").removeprefix(URL)

    with httpx.Client(base_url=room.url, trust_env=False) as client:
        read = [client.get(stop).status_code, client.head(stop).status_code]
        still = Digests(room.store).of(mai)
        clicked = client.post(stop, data={"List-Unsubscribe": "One-Click"})
        again = client.post(stop, data={"List-Unsubscribe": "One-Click"})

    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert stop in text_of(box)
    assert read == [200, 405]
    assert still is not None
    assert (clicked.status_code, again.status_code) == (200, 404)
    assert Digests(room.store).of(mai) is None


def test_a_hostile_name_of_a_site_stays_a_word_of_the_text(room: Newsroom, box: Mailbox) -> None:
    name = "x\u202e\r\nBcc: all@evil.example\r\n\r\n<script> lan.viet@thu.example"
    site, _ = room.store.add_site(name, Policy())
    room.site = site
    wants(room)
    room.put()
    room.clock.advance(days=1)

    post_of(room, box).send_due()

    assert box.to == [[MAI]]
    assert box.mails[0]["Bcc"] is None
    assert "\u202e" not in text_of(box)
    assert "lan.viet" not in text_of(box)
    assert [line for line in text_of(box).splitlines() if line.startswith("Bcc")] == []


@pytest.mark.parametrize("field", ["subject", "to", "message_id"])
def test_no_header_takes_a_line_break(box: Mailbox, field: str) -> None:
    mail = a_mail()
    hostile = getattr(mail, field) + "\r\nBcc: all@evil.example"

    with pytest.raises(ValueError, match=r"."):
        mailer_to(box).send(replace(mail, **{field: hostile}))
    assert box.mails == []


# ------------------------------------------------------------------ when


@pytest.mark.parametrize(
    ("every", "hour", "minutes", "expected"),
    [
        (Every.HOUR, 0, 0, 60),
        (Every.HOUR, 0, 59, 60),
        (Every.DAY, 12, 0, 24 * 60),
        (Every.DAY, 13, 0, 60),
        (Every.DAY, 11, 0, 23 * 60),
    ],
)
def test_the_next_moment(every: Every, hour: int, minutes: int, expected: int) -> None:
    noon = Clock().at

    found = first_moment(every, hour, noon + timedelta(minutes=minutes))

    assert found == noon + timedelta(minutes=expected)


def test_a_daily_one_comes_once_a_day_and_not_when_nothing_waits(
    room: Newsroom, box: Mailbox
) -> None:
    wants(room, hour=13)
    post = post_of(room, box)

    counts = [post.send_due()]
    room.clock.advance(hours=1)
    counts += [post.send_due()]  # nothing waits
    comment_id = room.put()
    room.clock.advance(hours=24)
    counts += [post.send_due(), post.send_due()]
    room.clock.advance(hours=23)
    counts += [post.send_due()]
    room.clock.advance(hours=1)
    counts += [post.send_due(), post.send_due()]

    assert counts == [0, 0, 1, 0, 0, 1, 0]
    assert comment_id


def test_an_hourly_one_comes_when_something_new_waits(room: Newsroom, box: Mailbox) -> None:
    wants(room, every=Every.HOUR)
    post = post_of(room, box)
    counts = []

    for arrives in (False, True, False, True):
        if arrives:
            room.put()
        room.clock.advance(hours=1)
        counts.append(post.send_due())

    assert counts == [0, 1, 0, 1]
    assert "new since the last digest: 1" in text_of(box)


def test_of_two_processes_one_sends(room: Newsroom, box: Mailbox) -> None:
    wants(room)
    room.put()
    room.clock.advance(days=1)
    first, second = Digests(room.store), Digests(room.store)

    claimed = [first.claim(), second.claim()]

    assert claimed[0] is not None
    assert claimed[1] is None


def test_after_a_day_of_silence_one_is_given_up_on_record_and_the_next_one_comes(
    room: Newsroom, box: Mailbox
) -> None:
    mai = wants(room, hour=13)
    room.put()
    room.clock.advance(days=3)
    post = post_of(room, box)

    late = post.send_due()
    digest = Digests(room.store).of(mai)
    room.clock.advance(days=1)

    assert late == 0
    assert digest
    assert "did not run" in digest.problem
    assert "digest_given_up" in [event.kind for event in room.store.events(None)]
    assert post.send_due() == 1


# ------------------------------------------------------------------ when it cannot be sent


def test_with_the_server_away_it_is_tried_again_until_it_is_back(
    room: Newsroom, box: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    mai = wants(room)
    room.put()
    room.clock.advance(days=1)
    away = DigestPost(room.store, Mailer(Server.of("smtp://127.0.0.1:1?tls=off"), SENDER), URL)

    counts = [away.send_due(), away.send_due()]
    digest = Digests(room.store).of(mai)
    room.clock.advance(minutes=1)
    counts.append(post_of(room, box).send_due())

    assert counts == [0, 0, 1]
    assert digest
    assert "cannot be reached" in digest.problem
    assert "tried again later" in caplog.text
    assert MAI not in caplog.text
    after = Digests(room.store).of(mai)
    assert after
    assert after.problem == ""


@pytest.mark.parametrize(
    ("answers", "said", "is_retried"),
    [
        (("550 <mai.le@toa-soan.example> unknown", OK), "recipient (550)", False),
        (("450 <mai.le@toa-soan.example> busy", OK), "recipient (450)", True),
        ((OK, "554 no mail from mai.le@toa-soan.example"), "mail (554)", False),
        ((OK, "451 later"), "mail (451)", True),
    ],
)
def test_what_a_server_refuses_is_said_without_the_address(
    room: Newsroom,
    box: Mailbox,
    caplog: pytest.LogCaptureFixture,
    answers: tuple[str, str],
    said: str,
    is_retried: bool,
) -> None:
    mai = wants(room)
    room.put()
    room.clock.advance(days=1)
    box.rcpt, box.data = answers
    post = post_of(room, box)

    post.send_due()
    digest = Digests(room.store).of(mai)
    box.rcpt = box.data = OK
    room.clock.advance(minutes=2)

    assert digest
    assert said in digest.problem
    assert "mai.le" not in digest.problem + caplog.text
    assert post.send_due() == int(is_retried)


def test_an_address_that_is_refused_again_and_again_gets_no_more(
    room: Newsroom, box: Mailbox
) -> None:
    mai = wants(room)
    room.put()
    box.rcpt = "550 unknown"
    post = post_of(room, box)

    for _ in range(MOST_REFUSALS + 2):
        room.clock.advance(days=1)
        post.send_due()
    digest = Digests(room.store).of(mai)

    assert digest
    assert digest.is_stopped
    assert [e.kind for e in room.store.events(None)].count("digest_refused") == 1


def test_one_whose_sender_dies_comes_twice_at_most_and_is_then_on_record(
    room: Newsroom, box: Mailbox
) -> None:
    mai = wants(room)
    room.put()
    room.clock.advance(days=1)
    post, digests = post_of(room, box), Digests(room.store)

    for _ in range(3):  # killed behind the server's word, before it could be noted
        parcel = digests.claim()
        if parcel is not None:
            post._problem(parcel, post.written(parcel))
        room.clock.advance(seconds=LEASE.total_seconds() + 1)

    digest = digests.of(mai)
    assert len(box.mails) == 2
    assert box.mails[0]["Message-ID"] == box.mails[1]["Message-ID"]
    assert digest
    assert "two attempts" in digest.problem
    assert "digest_given_up" in [event.kind for event in room.store.events(None)]


def test_one_whose_sender_died_before_it_was_sent_comes_after_the_lease(
    room: Newsroom, box: Mailbox
) -> None:
    wants(room)
    room.put()
    room.clock.advance(days=1)
    assert Digests(room.store).claim()

    at_once = post_of(room, box).send_due()
    room.clock.advance(seconds=LEASE.total_seconds() + 1)

    assert at_once == 0
    assert post_of(room, box).send_due() == 1


def test_somebody_without_a_role_gets_nothing(room: Newsroom, box: Mailbox) -> None:
    mai = wants(room)
    room.put()
    room.clock.advance(days=1)
    with room.store.writes() as connection:
        connection.exec_driver_sql("UPDATE moderators SET role = ''")

    assert post_of(room, box).send_due() == 0
    assert box.mails == []
    assert mai


def test_somebody_who_may_not_sign_in_any_more_gets_nothing(room: Newsroom, box: Mailbox) -> None:
    mai = wants(room)
    room.put()
    room.clock.advance(days=1)
    room.store.add_moderator("lan", Role.ADMIN)
    People(room.store).disable(None, mai, by="lan")

    assert post_of(room, box).send_due() == 0
    assert Digests(room.store).everybody() == []
    assert box.mails == []


# ------------------------------------------------------------------ TLS and passwords


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's side of TLS that this process trusts."""
    context, public = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    return context


def a_mail() -> Mail:
    return Mail(MAI, "Chào", "Hàng chờ: 3\n", "id", Clock().at, "vi")


def test_a_mail_goes_by_starttls_with_a_password(tls: ssl.SSLContext) -> None:
    with mail_server(
        tls_context=tls,
        require_starttls=True,
        authenticator=knows("duyet", "p:w/d"),
        auth_required=True,
    ) as box:
        url = f"smtp://duyet:p%3Aw%2Fd@localhost:{box.port}"
        Mailer(Server.of(url), SENDER).send(a_mail())
        with pytest.raises(Unsent, match="user or password"):
            Mailer(Server.of(url.replace("p%3A", "q")), SENDER).send(a_mail())

    assert text_of(box) == "Hàng chờ: 3\n"
    assert box.mails[0]["Subject"] == "Chào"
    assert len(box.mails) == 1


def test_a_mail_goes_by_tls_from_the_first_byte(tls: ssl.SSLContext) -> None:
    with mail_server(smtps=tls) as box:
        Mailer(Server.of(f"smtps://localhost:{box.port}"), SENDER).send(a_mail())

    assert len(box.mails) == 1


def test_nothing_is_said_to_a_server_without_tls_or_whom_nobody_vouches_for(
    tmp_path: Path, box: Mailbox
) -> None:
    tls, _ = certificate(tmp_path)
    with mail_server(tls_context=tls) as stranger, pytest.raises(Unsent, match="be trusted"):
        Mailer(Server.of(f"smtp://localhost:{stranger.port}"), SENDER).send(a_mail())
    with pytest.raises(Unsent, match="no STARTTLS"):
        Mailer(Server.of(f"smtp://127.0.0.1:{box.port}"), SENDER).send(a_mail())

    assert stranger.mails == box.mails == []


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example",
        "smtp://",
        "smtp://user@mail.example",
        "smtp://user:secret@mail.example?tls=off",
        "smtps://mail.example?tls=off",
        "smtp://mail.example?tls=maybe",
        "smtp://mail.example/path",
        "smtp://mail.example:99999",
    ],
)
def test_a_url_that_names_no_safe_server_is_refused_unrepeated(url: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        Server.of(url)

    assert "secret" not in str(refused.value)


# ------------------------------------------------------------------ the page


@pytest.fixture
def page_room(room: Newsroom, box: Mailbox, tmp_path: Path) -> Newsroom:
    """A newsroom whose pages can send mail."""
    room.app.state.digests = post_of(room, box)
    return room


def choice(client: httpx.Client, **changes: str) -> dict[str, str]:
    usual = {"address": MAI, "every": "day", "hour": "7", "language": "vi"}
    return {"form_token": form_token(client)} | usual | changes


def test_an_address_is_confirmed_before_anything_else_is_sent(
    page_room: Newsroom, box: Mailbox
) -> None:
    page_room.put()
    with page_room.moderator() as mai:
        saved = mai.post("/digest", data=choice(mai))
        shown = mai.get("/digest").text
        page_room.clock.advance(days=2)
        before = post_of(page_room, box).send_due()
        link = re.search(rf"{URL}(/digest/confirm/\S+)", text_of(box))
        assert link
        read = mai.get(link[1])
        still = post_of(page_room, box).send_due()
        pressed = mai.post(link[1])
        page_room.clock.advance(days=1)
        after = post_of(page_room, box).send_due()

    assert saved.status_code == 303
    assert "not confirmed yet" in shown
    assert MAI not in shown
    assert (before, still, after) == (0, 0, 1)
    assert (read.status_code, pressed.status_code) == (200, 200)
    assert "Số bình luận đang chờ người xem: 1" in text_of(box)


def test_nobody_s_mailbox_is_filled(page_room: Newsroom, box: Mailbox) -> None:
    with page_room.moderator() as mai:
        answers = []
        for n in range(MOST_CONFIRMATIONS + 2):
            own = choice(mai, address=f"victim{n}@thu.example")
            answers.append(mai.post("/digest", data=own).status_code)
            mai.post("/digest/end", data={"form_token": own["form_token"]})

    assert answers == [303] * MOST_CONFIRMATIONS + [429] * 2
    assert len(box.mails) == MOST_CONFIRMATIONS


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"address": "x\r\nBcc: all@evil.example"}, 422),
        ({"address": "no address"}, 422),
        ({"address": "a@b.example, c@d.example"}, 422),
        ({"address": ""}, 422),
        ({"address": "<script>@evil.example"}, 422),
        ({"every": "minute"}, 400),
        ({"hour": "24"}, 400),
        ({"hour": "٣"}, 400),
        ({"hour": "-1"}, 400),
        ({"language": "xx"}, 400),
        ({"form_token": "0" * 64}, 403),
    ],
)
def test_what_is_no_choice_changes_nothing(
    page_room: Newsroom, box: Mailbox, changes: dict[str, str], status: int
) -> None:
    with page_room.moderator() as mai:
        answer = mai.post("/digest", data=choice(mai) | changes)

    assert answer.status_code == status
    assert box.mails == []
    assert "<script>@" not in answer.text


def test_a_link_works_for_its_own_address_and_purpose_only(
    page_room: Newsroom, box: Mailbox
) -> None:
    mai = wants(page_room)
    digests, keyring = Digests(page_room.store), page_room.store.keyring
    old = digests.link_id(mai)
    assert old
    crossed = link_path(keyring, CONFIRM, old).replace("confirm", "stop")
    before = link_path(keyring, STOP, old)
    lan = page_room.store.add_moderator("lan", Role.MODERATOR)
    other = before.replace(mai, lan.id)
    who = next(one for one in page_room.store.moderators() if one.id == mai)
    digests.choose(who, address="new@toa-soan.example", language="en", every=Every.DAY, hour=7)

    with page_room.visitor() as client:
        answers = [client.post(path).status_code for path in (crossed, before, other)]
        answers += [client.post(f"/digest/stop/{'x' * 300}/y").status_code]

    assert answers == [404] * 4
    assert digests.of(mai) is not None


def test_a_viewer_and_a_stranger_have_no_digest(page_room: Newsroom) -> None:
    with page_room.visitor() as stranger, page_room.moderator("xem", Role.VIEWER) as viewer:
        assert stranger.get("/digest").status_code == 401
        assert viewer.get("/digest").status_code == 403


def test_without_a_mail_server_the_page_says_so(room: Newsroom) -> None:
    with room.moderator() as mai:
        shown = mai.get("/digest").text
        answer = mai.post("/digest", data=choice(mai))

    assert "Mail is not set up" in shown
    assert answer.status_code == 404


def test_too_many_addresses_are_refused_by_the_store_itself(room: Newsroom) -> None:
    who = room.store.add_moderator("mai", Role.MODERATOR)
    digests = Digests(room.store)
    for n in range(MOST_CONFIRMATIONS):
        digests.choose(who, address=f"a{n}@b.example", language="en", every=Every.DAY, hour=0)

    with pytest.raises(TooManyConfirmations):
        digests.choose(who, address="c@d.example", language="en", every=Every.DAY, hour=0)
    room.clock.advance(days=1)

    assert digests.choose(who, address="c@d.example", language="en", every=Every.DAY, hour=0)


# ------------------------------------------------------------------ the operator


@pytest.fixture
def installed(
    room: Newsroom, box: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Newsroom:
    """The newsroom as commands find it, with its mail server in the environment."""
    for name, value in {
        "DUYET_DATA_DIR": str(tmp_path),
        "DUYET_PUBLIC_URL": URL,
        "DUYET_MAIL_FROM": SENDER,
        "DUYET_SMTP_URL": f"smtp://127.0.0.1:{box.port}?tls=off",
    }.items():
        monkeypatch.setenv(name, value)
    return room


def test_a_dry_run_prints_what_would_be_sent_and_sends_nothing(
    installed: Newsroom, box: Mailbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["digest", "--dry-run"]) == 0
    nobody = capsys.readouterr().out
    wants(installed)
    installed.put()

    assert run(["digest", "--dry-run"]) == 0

    printed = capsys.readouterr().out
    assert "Nobody asked for one." in nobody
    assert "To: mai <m•••@toa-soan.example>" in printed
    assert "Comments that wait for a person: 1" in printed
    assert MAI not in printed
    assert box.mails == []


def test_the_command_sends_what_is_due(
    installed: Newsroom, box: Mailbox, capsys: pytest.CaptureFixture[str]
) -> None:
    mai = wants(installed)
    installed.put()
    due = {"at": utc_now() - timedelta(minutes=1)}
    with installed.store.writes() as connection:
        connection.execute(digests_table.update().values(due_at=due["at"], period_at=due["at"]))

    assert run(["digest"]) == 0

    assert capsys.readouterr().out == "1 sent\n"
    assert len(box.mails) == 1
    assert mai


def test_the_doctor_says_whether_mail_can_be_sent(installed: Newsroom, box: Mailbox) -> None:
    mai = wants(installed)
    box.rcpt = "550 no"
    installed.put()
    installed.clock.advance(days=1)
    post_of(installed, box).send_due()
    settings = load_settings(os.environ)
    away = load_settings(dict(os.environ) | {"DUYET_SMTP_URL": "smtp://127.0.0.1:1?tls=off"})
    keyring = installed.store.keyring
    database = inspected(settings.sqlalchemy_url)

    well = list(mail(Patient(settings, {}, keyring, database)))
    ill = list(mail(Patient(away, {}, keyring, database)))

    assert [(found.check, found.state) for found in well] == [("mail", "ok"), ("digests", "warn")]
    assert (ill[0].check, ill[0].state) == ("mail", "fail")
    assert mai


@pytest.mark.parametrize(
    "changes",
    [
        {"DUYET_SMTP_URL": "smtp://mail.example"},
        {"DUYET_SMTP_URL": "smtp://mail.example", "DUYET_MAIL_FROM": "a@b.example"},
        {"DUYET_SMTP_URL": "smtp://u:hunter2@h?x", "DUYET_PUBLIC_URL": URL},
        {"DUYET_MAIL_FROM": "a@b.example\nBcc: c@d.example"},
        {"DUYET_MAIL_FROM": "no address"},
    ],
)
def test_settings_for_mail_that_lack_something_are_refused(changes: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(changes)

    assert "hunter2" not in str(refused.value)
    assert "@" not in str(refused.value).replace("USER:PASSWORD@HOST", "")
