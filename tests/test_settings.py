import traceback
from pathlib import Path

import pytest

from service.settings import Settings, SettingsError, load_settings, variable

OPERATING = Path(__file__).parents[1] / "docs" / "operating.md"


def refused(**environ: str) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        load_settings(environ)
    assert str(refusal.value) == "\n".join(refusal.value.problems)
    return list(refusal.value.problems)


def test_nothing_set_gives_the_defaults() -> None:
    settings = load_settings({"PATH": "/bin", "HOME": "/root"})

    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert settings.sqlalchemy_url == f"sqlite:///{settings.data_dir}/duyet.db"
    assert settings.models_dir == settings.data_dir / "models"
    assert settings.own_url == "http://127.0.0.1:8000"


def test_an_empty_variable_counts_as_not_set() -> None:
    settings = load_settings({"DUYET_PORT": "", "DUYET_DATABASE_URL": ""})

    assert settings == load_settings({})


def test_what_is_set_is_used(tmp_path: Path) -> None:
    settings = load_settings(
        {
            "DUYET_HOST": "::1",
            "DUYET_PORT": "0",
            "DUYET_DATA_DIR": str(tmp_path),
            "DUYET_MODELS": str(tmp_path / "registry"),
            "DUYET_DATABASE_URL": "postgresql://duyet:pw@db.example:5433/comments",
            "DUYET_LOG_LEVEL": "Debug",
            "DUYET_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
            "DUYET_PUBLIC_URL": "https://comments.example/duyet/",
        }
    )

    assert settings.models_dir == tmp_path / "registry"
    assert settings.sqlalchemy_url == "postgresql+psycopg://duyet:pw@db.example:5433/comments"
    assert settings.log_level == "debug"
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1")
    assert settings.own_url == "https://comments.example/duyet"


def test_a_relative_directory_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    settings = load_settings({"DUYET_DATA_DIR": "here"})

    assert settings.data_dir == tmp_path / "here"


def test_every_problem_is_named_at_once() -> None:
    problems = refused(
        DUYET_WORKERS="many", DUYET_PORT="70000", DUYET_LOG_FORMAT="xml", DUYET_PROT="1"
    )

    assert problems == [
        "DUYET_PROT is no setting; did you mean DUYET_PORT?",
        "DUYET_PORT is '70000'; it must be a whole number from 0 to 65535",
        "DUYET_WORKERS is 'many'; it must be a whole number from 1 to 64",
        "DUYET_LOG_FORMAT is 'xml'; it must be text or json",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DUYET_HOST", "two words"),
        ("DUYET_HOST", "10.0.0.0/8"),
        ("DUYET_PORT", "-1"),
        ("DUYET_PORT", "8000.5"),
        ("DUYET_WORKERS", "0"),
        ("DUYET_WORKERS", "65"),
        ("DUYET_LOG_LEVEL", "loud"),
        ("DUYET_MAX_BODY_BYTES", "10"),
        ("DUYET_MAX_BATCH_BYTES", "32MB"),
        ("DUYET_BODY_TIMEOUT_SECONDS", "0"),
        ("DUYET_BODY_TIMEOUT_SECONDS", "nan"),
        ("DUYET_BODY_TIMEOUT_SECONDS", "inf"),
        ("DUYET_MAX_WAIT_SECONDS", "0"),
        ("DUYET_MAX_WAIT_SECONDS", "nan"),
        ("DUYET_PUBLIC_URL", "comments.example"),
        ("DUYET_PUBLIC_URL", "https://comments.example/?a=b"),
        ("DUYET_PUBLIC_URL", "https://:99999999/"),
        ("DUYET_PUBLIC_URL", "https://a/b c<x>"),
        ("DUYET_PUBLIC_URL", "https://x/["),
        ("DUYET_DATA_DIR", "~nobody-of-that-name/x"),
        ("DUYET_DATABASE_URL", "sqlite:////tmp/q.db?timeout=abc"),
        ("DUYET_DATABASE_URL", "sqlite:///file::memory:"),
        ("DUYET_TRUSTED_PROXIES", "10.0.0.0/8,proxy"),
        ("DUYET_DATABASE_URL", "mysql://db/comments"),
        ("DUYET_DATABASE_URL", "postgresql://db"),
        ("DUYET_DATABASE_URL", "postgresql://db:port/comments"),
        ("DUYET_DATABASE_URL", "sqlite:///:memory:"),
        ("DUYET_DATABASE_URL", "sqlite://"),
        ("DUYET_DATA_DIR", __file__),
        ("DUYET_MODELS", "a\0b"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(name: str, value: str) -> None:
    problems = refused(**{name: value})

    assert len(problems) == 1
    assert problems[0].startswith(name)
    assert "must be" in problems[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DUYET_DATABASE_URL", "mysql://duyet:hunter2@db/x"),
        ("DUYET_DATABASE_URL", "postgresql://duyet:hunter2@db"),
        ("DUYET_PUBLIC_URL", "https://me:hunter2@host/"),
        ("DUYET_PORT", "hunter2@example.org"),
        ("DUYET_HOST", "hunter2@example.org"),
        ("DUYET_hunter2@example.org", "1"),
        ("DUYET_PASWORD", "hunter2"),
    ],
)
def test_no_refusal_repeats_a_secret_or_an_address(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings({name: value})

    assert "hunter2" not in "".join(traceback.format_exception(refusal.value))
    assert "hunter2" not in repr(refusal.value)


def test_the_settings_do_not_show_the_password() -> None:
    settings = load_settings({"DUYET_DATABASE_URL": "postgresql://duyet:hunter2@db/x"})

    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()}"


def test_a_lower_case_name_is_pointed_out_rather_than_ignored() -> None:
    assert refused(duyet_port="1") == ["duyet_port is no setting; did you mean DUYET_PORT?"]


@pytest.mark.parametrize("field", sorted(Settings.model_fields))
def test_every_setting_has_its_row_in_the_docs(field: str) -> None:
    assert f"| `{variable(field)}` |" in OPERATING.read_text(encoding="utf-8")
