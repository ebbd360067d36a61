"""Signing in, one's own account and the people page, over HTTP."""

import re
from base64 import b32decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from service.passwords import Cost, Passwords, TooBusy, fault_of
from service.storage import Role, Site
from service.storage.accounts import STEP_SECONDS, Accounts, codes_of
from service.storage.sign_in import Client
from service.web.browsers import browser_in_words
from tests.browser.newsroom import Newsroom, form_token, open_newsroom

PASSWORD = "con mèo ngủ trên mái nhà"
CHEAP = Cost(memory_kib=64)


@pytest.fixture
def newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    with open_newsroom(tmp_path) as newsroom:
        yield newsroom


def token_of(link: str) -> str:
    return link.partition("token=")[2]


def post(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    return client.post(path, data={"form_token": form_token(client)} | fields)


def with_password(newsroom: Newsroom, name: str = "mai", role: Role = Role.MODERATOR) -> None:
    """Have somebody who set a password with their first link."""
    with newsroom.visitor() as client:
        sent = {"token": token_of(newsroom.link(name, role)), "new_password": PASSWORD}
        assert client.post("/sign-in", data=sent).status_code == 303


def enter(client: httpx.Client, name: str = "mai", password: str = PASSWORD) -> httpx.Response:
    return client.post("/sign-in", data={"name": name, "password": password})


def code_of(key: bytes, newsroom: Newsroom) -> str:
    return codes_of(key).generate(newsroom.clock().timestamp()).decode()


@contextmanager
def with_codes(newsroom: Newsroom) -> Iterator[tuple[httpx.Client, bytes, list[str]]]:
    """Somebody with a password who has turned on one-time codes."""
    with_password(newsroom)
    with newsroom.visitor() as client:
        enter(client)
        found = re.search(r'name="key" value="([A-Z2-7]{32})"', client.get("/account/codes").text)
        assert found is not None
        key = b32decode(found[1])
        answer = post(client, "/account/codes", key=found[1], code=code_of(key, newsroom))
        codes = re.findall(r"<code>(\w{5}-\w{5})</code>", answer.text)
        newsroom.clock.advance(seconds=2 * STEP_SECONDS)
        yield client, key, codes


def said(answer: httpx.Response) -> str:
    """A page without the address that was asked."""
    return re.sub(r'value="[^"]*"', "", answer.text)


# ------------------------------------------------------------------ passwords


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("eleven char", "too_short"),
        ("a" * 1001, "too_long"),
        ("aaaaaaaaaaaa", "guessable"),
        ("123456789012", "guessable"),
        ("Password1234", "guessable"),
        ("mật khẩu 2026", "guessable"),
        ("MaiLê2024!!!", "guessable"),
        ("mai le mai le mai le", "guessable"),
        ("qwertyuiop123", "guessable"),
        ("\ufb03" * 11, "guessable"),
        ("con mèo ngủ trên mái nhà", ""),
        ("correct horse battery staple", ""),
        ("xK9#mQ2$vL7p", ""),
        ("密码" * 3 + "是很长的一句话", ""),
        ("á" * 3 + "bcxyzqwm,7 ", ""),
    ],
)
def test_a_password_that_can_be_guessed_is_refused(password: str, fault: str) -> None:
    assert fault_of(password, "Mai Lê") == fault


def test_a_password_is_the_same_however_a_keyboard_composes_it() -> None:
    passwords = Passwords(CHEAP)
    stored = passwords.hash("m\u00e8o ng\u1ee7 tr\u00ean m\u00e1i")

    assert stored.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert passwords.is_right("me\u0300o ngu\u0309 tre\u0302n ma\u0301i", stored)
    assert not passwords.is_right("meo ngu tren mai", stored)
    assert not passwords.is_right("", None)


def test_more_than_wait_in_a_row_are_told_so_at_once() -> None:
    passwords = Passwords(CHEAP, most_waiting=0)

    with passwords._turns(), pytest.raises(TooBusy):
        passwords.hash("x")
    assert passwords.hash("x")


def test_somebody_enters_by_name_and_password(newsroom: Newsroom) -> None:
    with_password(newsroom)
    with newsroom.visitor() as client:
        answer = enter(client, " MAI ")

        assert (answer.status_code, answer.headers["location"]) == (303, "/queue")
        assert client.get("/queue").status_code == 200
        assert "SameSite=strict" in answer.headers["set-cookie"]


def test_a_password_that_is_refused_does_not_use_the_link_up(newsroom: Newsroom) -> None:
    token = token_of(newsroom.link())
    with newsroom.visitor() as client:
        refused = client.post("/sign-in", data={"token": token, "new_password": "short"})
        entered = client.post("/sign-in", data={"token": token})

    assert (refused.status_code, entered.status_code) == (422, 303)
    assert "at least \u206812\u2069" in refused.text or "at least 12" in refused.text


def test_an_unknown_name_and_a_wrong_password_are_answered_the_same(newsroom: Newsroom) -> None:
    with_password(newsroom)
    newsroom.store.add_moderator("bare", Role.VIEWER)
    with newsroom.visitor() as client:
        answers = [
            enter(client, "mai", "wrong wrong wrong"),
            enter(client, "nobody"),
            enter(client, "bare"),
            enter(client, "", "x"),
            enter(client, "mai", ""),
        ]

    assert {answer.status_code for answer in answers} == {403}
    assert len({said(answer) for answer in answers}) == 1
    assert not any("set-cookie" in answer.headers for answer in answers)


def test_a_hash_of_another_cost_is_renewed_at_the_next_sign_in(newsroom: Newsroom) -> None:
    mai = newsroom.store.add_moderator("mai", Role.VIEWER)
    accounts = Accounts(newsroom.store)
    own = accounts.of(mai.id)
    assert own is not None
    accounts.set_password(own, Passwords(CHEAP).hash(PASSWORD), client=Client())
    with newsroom.visitor() as client:
        assert enter(client).status_code == 303

    renewed = accounts.of(mai.id)
    assert renewed is not None
    assert "$m=47104,t=1,p=1$" in (renewed.password or "")


def test_changing_a_password_takes_the_one_before_and_ends_the_others(newsroom: Newsroom) -> None:
    with_password(newsroom)
    with newsroom.visitor() as here, newsroom.visitor() as there:
        enter(here)
        enter(there)
        cookie = here.cookies["duyet"]
        wrong = post(here, "/account/password", password="x", new_password="một câu khác hẳn đi")
        weak = post(here, "/account/password", password=PASSWORD, new_password="mai mai mai mai")
        right = post(
            here, "/account/password", password=PASSWORD, new_password="một câu khác hẳn đi"
        )

        assert (wrong.status_code, weak.status_code, right.status_code) == (403, 422, 303)
        assert here.get("/account?done=password").status_code == 200
        assert here.cookies["duyet"] != cookie
        assert there.get("/queue").status_code == 401
        assert enter(there).status_code == 403
        assert enter(there, "mai", "một câu khác hẳn đi").status_code == 303


def test_somebody_goes_back_to_links_alone(newsroom: Newsroom) -> None:
    with_password(newsroom)
    with newsroom.visitor() as client:
        enter(client)
        wrong = post(client, "/account/password/remove", password="x")
        right = post(client, "/account/password/remove", password=PASSWORD)
        after = enter(client)

    assert (wrong.status_code, right.status_code, after.status_code) == (403, 303, 403)


# ------------------------------------------------------------------ one-time codes


def test_a_password_alone_is_not_enough_where_codes_are_on(newsroom: Newsroom) -> None:
    with with_codes(newsroom) as (_, key, codes), newsroom.visitor() as client:
        asked = enter(client)
        ticket = re.search(r'name="ticket" value="([^"]+)"', asked.text)
        assert ticket is not None
        before = client.get("/queue").status_code
        form = {"ticket": ticket[1]}
        answers = [
            client.post("/sign-in", data=form | {"code": code}).status_code
            for code in ("", "000000", code_of(key, newsroom))
        ]
        again = client.post("/sign-in", data=form | {"code": code_of(key, newsroom)})

    assert (asked.status_code, before) == (200, 401)
    assert answers == [403, 403, 303]
    assert again.status_code == 403
    assert len(codes) == 10


def test_a_link_needs_a_code_as_well_and_is_not_used_up_without(newsroom: Newsroom) -> None:
    with with_codes(newsroom) as (_, _, codes), newsroom.visitor() as client:
        token = token_of(newsroom.link())
        page = client.get(f"/sign-in?token={token}").text
        sent = {"token": token, "new_password": "một câu khác hẳn đi"}
        without = client.post("/sign-in", data=sent)
        with_it = client.post("/sign-in", data=sent | {"code": codes[0]})
        other = client.post("/sign-in", data={"token": token_of(newsroom.link()), "code": codes[0]})

    assert 'name="code"' in page
    assert "new_password" not in page
    assert [one.status_code for one in (without, with_it, other)] == [403, 303, 403]


@pytest.mark.parametrize(
    "change", ["late", "forged", "of no year", "of another", "password changed"]
)
def test_a_ticket_is_good_for_its_owner_for_a_while(newsroom: Newsroom, change: str) -> None:
    with with_codes(newsroom) as (owner, key, _), newsroom.visitor() as client:
        found = re.search(r'name="ticket" value="([^"]+)"', enter(client).text)
        assert found is not None
        ticket = found[1]
        if change == "late":
            newsroom.clock.advance(minutes=5)
        elif change == "forged":
            person, stamp, mac = ticket.split(".")
            ticket = f"{person}.{int(stamp) + 10**9}.{mac}"
        elif change == "of no year":
            person, _, mac = ticket.split(".")
            ticket = f"{person}.{'9' * 18}.{mac}"
        elif change == "of another":
            other = newsroom.store.add_moderator("an", Role.ADMIN)
            ticket = f"{other.id}{ticket[36:]}"
        else:
            new = {"password": PASSWORD, "new_password": "một câu khác hẳn đi"}
            assert post(owner, "/account/password", **new).status_code == 303
        sent = {"ticket": ticket, "code": code_of(key, newsroom)}

        assert client.post("/sign-in", data=sent).status_code == 403
        assert client.get("/queue").status_code == 401


def test_codes_are_guessed_five_times_in_an_hour(newsroom: Newsroom) -> None:
    with with_codes(newsroom) as (owner, key, _), newsroom.visitor() as stranger:
        answers = []
        for number in range(6):
            found = re.search(r'name="ticket" value="([^"]+)"', enter(stranger).text)
            assert found is not None
            sent = {"ticket": found[1], "code": f"{number:06}"}
            answers.append(stranger.post("/sign-in", data=sent).status_code)
        # In the browser where its owner signed in before, none of that counts.
        found = re.search(r'name="ticket" value="([^"]+)"', enter(owner).text)
        assert found is not None
        own = owner.post("/sign-in", data={"ticket": found[1], "code": code_of(key, newsroom)})

    assert answers == [403] * 5 + [429]
    assert own.status_code == 303


def test_codes_are_turned_off_by_who_shows_one(newsroom: Newsroom) -> None:
    with with_codes(newsroom) as (client, key, codes):
        wrong = post(client, "/account/codes/off", code="000000")
        renewed = post(client, "/account/codes/recovery", code=codes[0])
        right = post(client, "/account/codes/off", code=code_of(key, newsroom))
        entered = enter(client)

    assert (wrong.status_code, renewed.status_code, right.status_code) == (403, 200, 303)
    assert codes[1] not in renewed.text
    assert entered.status_code == 303


@pytest.mark.parametrize("key", ["", "x", "A" * 31, "A" * 40, "é" * 32, "A" * 5000])
def test_a_key_that_is_none_turns_nothing_on(newsroom: Newsroom, key: str) -> None:
    with newsroom.moderator() as client:
        answer = post(client, "/account/codes", key=key, code="000000")

    assert answer.status_code == 400


# ------------------------------------------------------------------ who has to wait


def test_strangers_cannot_keep_an_owner_out(newsroom: Newsroom) -> None:
    with_password(newsroom)
    with newsroom.visitor() as owner, newsroom.visitor() as stranger:
        enter(owner)
        owner.post("/sign-out", data={"form_token": form_token(owner)})
        for _ in range(2):  # ten are a network's share of five minutes, and the name's of fifteen
            tried = [enter(stranger, "mai", "wrong").status_code for _ in range(10)]
            newsroom.clock.advance(minutes=6)
        from_elsewhere = enter(stranger)
        known_browser = enter(owner)
        link = stranger.post("/sign-in", data={"token": token_of(newsroom.link())})

    assert tried == [429] * 10
    assert from_elsewhere.status_code == 429
    assert int(from_elsewhere.headers["retry-after"]) <= 15 * 60
    assert (known_browser.status_code, link.status_code) == (303, 303)


def test_a_name_that_nobody_has_makes_one_wait_as_well(newsroom: Newsroom) -> None:
    with newsroom.visitor() as client:
        answers = [enter(client, "nobody", "wrong").status_code for _ in range(11)]

    assert answers == [403] * 10 + [429]


@pytest.mark.parametrize("cookie", ["x.y", ".", "é.é", "a" * 5000, "x." + "0" * 64])
def test_a_device_that_was_made_up_is_a_stranger(newsroom: Newsroom, cookie: str) -> None:
    with_password(newsroom)
    header = [(b"cookie", f"duyet_device={cookie}".encode("latin-1"))]
    sent = {"name": "mai", "password": "wrong"}
    with newsroom.visitor() as client:
        for _ in range(10):
            client.post("/sign-in", data=sent, headers=header)
            newsroom.clock.advance(seconds=50)

        assert client.post("/sign-in", data=sent, headers=header).status_code == 429


# ------------------------------------------------------------------ sessions and choices


def test_sessions_are_told_apart_and_ended(newsroom: Newsroom) -> None:
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    with (
        newsroom.moderator() as here,
        newsroom.moderator("mai", Role.MODERATOR, **{"user-agent": firefox}) as there,
    ):
        page = here.get("/account").text
        own, other = (
            re.search(r"/account/sessions/([0-9a-f]{32})/end", client.get("/account").text)
            for client in (here, there)
        )
        listed = set(re.findall(r"/account/sessions/([0-9a-f]{32})/end", page))
        assert own is not None
        assert other is not None
        before = there.get("/queue").status_code
        ended = post(here, "/account/sessions/end-others")
        after = (there.get("/queue").status_code, here.get("/queue").status_code)

    assert "Firefox · Linux" in page
    assert "127.0.0.0/24" in page
    assert "127.0.0.1" not in re.sub(r"http\S+", "", page)
    assert len(listed) == 2
    assert (before, ended.status_code, after) == (200, 303, (401, 200))


def test_a_session_of_somebody_else_is_none(newsroom: Newsroom) -> None:
    with newsroom.moderator("an") as an, newsroom.moderator("mai") as mai:
        found = re.search(r"/account/sessions/([0-9a-f]{32})/end", an.get("/account").text)
        assert found is not None
        answer = post(mai, f"/account/sessions/{found[1]}/end")

        assert answer.status_code == 404
        assert an.get("/queue").status_code == 200


def test_choices_hold_on_every_device(newsroom: Newsroom) -> None:
    with newsroom.moderator() as client:
        saved = post(client, "/account/choices", language="vi", single_keys="")
        wrong = post(client, "/account/choices", language="xx")
    with newsroom.moderator() as elsewhere:
        page = elsewhere.get("/queue").text

    assert (saved.status_code, wrong.status_code) == (303, 400)
    assert '<html lang="vi">' in page
    assert 'data-single-keys="off"' in page


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        ("", ""),
        ("curl/8", ""),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
            "Edge · Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
            "(KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
            "Safari · iPhone",
        ),
        ("<script>alert(1)</script> Firefox/", "Firefox"),
    ],
)
def test_a_browser_is_named_in_words_of_ours(user_agent: str, words: str) -> None:
    assert browser_in_words(user_agent) == words


# ------------------------------------------------------------------ people


def link_on(answer: httpx.Response) -> str:
    found = re.search(r"<textarea[^>]*>(http[^<]+)</textarea>", answer.text)
    assert found is not None
    return found[1]


@pytest.fixture
def site(newsroom: Newsroom) -> Site:
    return newsroom.site


def test_links_lead_where_people_reach_the_service(newsroom: Newsroom, site: Site) -> None:
    newsroom.app.state.public_url = "https://pub.example/mod"

    with newsroom.moderator("boss", Role.ADMIN) as boss:
        invited = post(boss, "/people", name="Lan", role="viewer", site=site.id)
        for odd in ("//evil.example/x", "/%2f/evil.example", "/\\evil.example"):
            url = f"{str(boss.base_url).rstrip('/')}{odd}"
            missing = boss.get(url, headers={"accept": "text/html"})
            assert missing.status_code == 404
            assert 'href="//' not in missing.text

    assert link_on(invited).startswith("https://pub.example/mod/sign-in?token=")


def test_an_admin_invites_somebody_who_sets_a_password(newsroom: Newsroom, site: Site) -> None:
    with newsroom.moderator("boss", Role.ADMIN) as boss, newsroom.visitor() as new:
        invited = post(boss, "/people", name="Lan Phạm", role="viewer", site=site.id)
        sent = {"token": token_of(link_on(invited)), "new_password": PASSWORD}
        entered = new.post("/sign-in", data=sent)
        again = enter(new, "lan phạm")

    assert (invited.status_code, entered.status_code, again.status_code) == (200, 303, 303)
    [lan] = [one for one in newsroom.store.moderators() if one.name == "Lan Phạm"]
    assert lan.roles == {site.id: Role.VIEWER}


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("", 422),
        ("x" * 61, 422),
        ("an@thu.example", 422),
        ("an\u202elan", 422),
        ("\u200b", 422),
        ("boss", 409),
        ("BOSS", 409),
        ("operator", 409),
    ],
)
def test_a_name_that_cannot_be_is_refused_in_its_place(
    newsroom: Newsroom, site: Site, name: str, status: int
) -> None:
    with newsroom.moderator("boss", Role.ADMIN) as boss:
        answer = post(boss, "/people", name=name, role="viewer", site=site.id)

    assert answer.status_code == status
    assert 'aria-invalid="true"' in answer.text
    assert len(newsroom.store.moderators()) == 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"role": "owner"}, 400),
        ({"role": ""}, 400),
        ({"site": "01890000-0000-7000-8000-000000000000"}, 404),
        ({"site": "x"}, 404),
        ({"site": ""}, 404),
        ({"site": "every"}, 404),
    ],
)
def test_an_admin_of_a_site_invites_on_no_other(
    newsroom: Newsroom, site: Site, fields: dict[str, str], status: int
) -> None:
    newsroom.store.add_moderator("ann", Role.ADMIN, site_id=site.id)
    with newsroom.moderator("ann") as ann:
        form = {"name": "lan", "role": "admin", "site": site.id} | fields
        answer = post(ann, "/people", **form)

    assert answer.status_code == status
    assert len(newsroom.store.moderators()) == 1


def test_a_new_link_ends_the_one_before(newsroom: Newsroom, site: Site) -> None:
    with newsroom.moderator("boss", Role.ADMIN) as boss, newsroom.visitor() as lan:
        first = link_on(post(boss, "/people", name="lan", role="viewer", site=site.id))
        [person] = [one for one in newsroom.store.moderators() if one.name == "lan"]
        second = link_on(post(boss, f"/people/{person.id}/link"))
        answers = [
            lan.post("/sign-in", data={"token": token_of(link)}).status_code
            for link in (first, second)
        ]

    assert answers == [403, 303]


ACTS: dict[str, Callable[[Newsroom], dict[str, str]]] = {
    "role": lambda newsroom: {"site": newsroom.site.id, "role": "admin"},
    "disable": lambda _: {},
    "reset": lambda _: {},
}


@pytest.mark.parametrize("act", sorted(ACTS))
def test_nobody_does_it_to_themselves(newsroom: Newsroom, act: str) -> None:
    with newsroom.moderator("boss", Role.ADMIN) as boss:
        [me] = newsroom.store.moderators()
        answer = post(boss, f"/people/{me.id}/{act}", **ACTS[act](newsroom))

    assert answer.status_code == 409
    assert newsroom.store.moderators() == [me]


def test_a_role_and_an_account_count_from_the_next_request(newsroom: Newsroom, site: Site) -> None:
    lan = newsroom.store.add_moderator("lan", Role.ADMIN, site_id=site.id)
    with newsroom.moderator("boss", Role.ADMIN) as boss, newsroom.moderator("lan") as client:
        statuses = [client.get("/people").status_code]
        post(boss, f"/people/{lan.id}/role", site=site.id, role="viewer")
        statuses += [client.get("/people").status_code, client.get("/queue").status_code]
        post(boss, f"/people/{lan.id}/role", site=site.id, role="")
        statuses += [client.get("/queue").status_code]
        post(boss, f"/people/{lan.id}/role", site=site.id, role="viewer")
        post(boss, f"/people/{lan.id}/disable")
        statuses += [client.get("/queue").status_code]
        page = boss.get(f"/people/{lan.id}").text

    assert statuses == [200, 403, 200, 403, 401]
    assert "disabled" in page


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MODERATOR])
def test_only_an_admin_sees_the_people(newsroom: Newsroom, role: Role) -> None:
    with newsroom.moderator("lan", role) as client:
        queue = client.get("/queue").text
        answer = client.get("/people")

    assert answer.status_code == 403
    assert 'href="/people"' not in queue


def test_every_change_is_told(newsroom: Newsroom, site: Site) -> None:
    with newsroom.moderator("boss", Role.ADMIN) as boss:
        post(boss, "/people", name="lan", role="viewer", site=site.id)
        [lan] = [one for one in newsroom.store.moderators() if one.name == "lan"]
        post(boss, f"/people/{lan.id}/role", site=site.id, role="moderator")
        with newsroom.moderator("lan") as client:
            post(client, "/account/password", new_password=PASSWORD)
        post(boss, f"/people/{lan.id}/end-sessions")
        post(boss, f"/people/{lan.id}/reset")
        post(boss, f"/people/{lan.id}/disable")
    told = [(one.kind, one.actor) for one in newsroom.store.events([site.id])]

    assert [one for one in told if one[0] != "signed_in"][1:] == [
        ("moderator_added", "boss"),
        ("link_made", "boss"),
        ("role_changed", "boss"),
        ("password_changed", "lan"),
        ("session_ended", "lan"),
        ("session_ended", "boss"),
        ("account_reset", "boss"),
        ("account_disabled", "boss"),
    ]


def test_an_unseen_session_is_not_kept_alive_by_its_link(newsroom: Newsroom) -> None:
    mai = newsroom.store.add_moderator("mai", Role.VIEWER)
    token = newsroom.store.new_sign_in_link(mai.id, timedelta(hours=48))
    newsroom.clock.advance(hours=47)
    with newsroom.visitor() as client:
        client.post("/sign-in", data={"token": token})
        newsroom.clock.advance(hours=5)

        assert client.get("/queue").status_code == 401
