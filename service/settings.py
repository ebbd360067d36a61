"""What the operator may set, read once from the environment.

Knows names, defaults and ranges. Opens nothing and creates nothing: what a setting points at
is the business of whoever uses it.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from model.signing import PUBLIC_KEY
from service.mail import WHAT_IT_LOOKS_LIKE, Mailer, Server, sender_of

PREFIX = "DUYET_"

_PATH = re.compile(r"[\w.~!$&'()*+,;=:%/-]*", re.ASCII)
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]*)(\.[A-Za-z0-9-]+)*\Z")
# A value is shown back only when it cannot hold a secret or an address: short, plain, no "@".
_PLAIN_VALUE = re.compile(r"[\w+-][\w.+-]{0,31}\Z", re.ASCII)
_SHOWN = frozenset(
    {
        "port",
        "workers",
        "database_connections",
        "retention_days",
        "spoken_retention_days",
        "log_level",
        "log_format",
        "max_body_bytes",
        "max_batch_bytes",
        "body_timeout_seconds",
        "max_wait_seconds",
        "rate_limit",
        "max_connections",
        "keep_alive_seconds",
        "spool",
        "spool_max_bytes",
        "training_max_bytes",
    }
)
RATES = "0, or a number of comments a second from 0.01 to 1000000"
SHORTEST_RETENTION_DAYS = 8
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.-]+)*/?")
_POSTGRES = ("postgresql://", "postgresql+psycopg://")

# What would be right, for the settings that pydantic itself refuses.
_RANGES: dict[str, str] = {
    "port": "a whole number from 0 to 65535",
    "workers": "a whole number from 1 to 64",
    "database_connections": "a whole number from 4 to 100",
    "retention_days": "0, which is for ever, or a whole number of days from 8 to 36500",
    "spoken_retention_days": "0, which is for ever, or a whole number of days from 8 to 36500",
    "log_level": "debug, info, warning or error",
    "log_format": "text or json",
    "max_body_bytes": "a whole number of bytes from 1024 to 67108864 (64 MiB)",
    "max_batch_bytes": "a whole number of bytes from 1024 to 1073741824 (1 GiB)",
    "max_wait_seconds": "a number of seconds above 0, at most 60",
    "body_timeout_seconds": "a number of seconds above 0, at most 600",
    "rate_limit": RATES,
    "max_connections": "a whole number from 16 to 1000000",
    "keep_alive_seconds": "a whole number of seconds from 1 to 3600",
    "spool": "on or off",
    "spool_max_bytes": "a whole number of bytes from 1048576 (1 MiB) to 1099511627776 (1 TiB)",
    "training_max_bytes": "a whole number of bytes from 1000000000 (1 GB) to 1000000000000 (1 TB)",
}


class SettingsError(Exception):
    """One or more settings are wrong. `problems` has a line for each, none with a secret."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _list_of(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _wrong(expected: str) -> NoReturn:
    raise PydanticCustomError("setting", "must be {expected}", {"expected": expected})


class Settings(BaseSettings):
    """Every setting of the service. Immutable; its repr shows no secret.

    `data_dir` and `models` come out absolute. Nothing is read from files, and unknown names
    are the loader's to refuse.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    data_dir: Path = Path("var")
    database_url: SecretStr | None = None
    replica_url: SecretStr | None = None
    database_connections: int = Field(default=8, ge=4, le=100)
    # A request is recognised for a week: no comment may be gone before its request is.
    retention_days: int = Field(default=0, ge=0, le=36_500)
    spoken_retention_days: int = Field(default=0, ge=0, le=36_500)
    models: Path | None = None
    models_url: str = ""
    trusted_model_keys: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_list_of)] = ()
    workers: int = Field(default=1, ge=1, le=64)
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = (
        "info"
    )
    log_format: Annotated[Literal["text", "json"], BeforeValidator(_lower)] = "text"
    # The longest comment (65,525 bytes) is at most six times as long in JSON; the rest is fields.
    max_body_bytes: int = Field(default=512 * 1024, ge=1024, le=64 * 1024 * 1024)
    max_batch_bytes: int = Field(default=32 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)
    body_timeout_seconds: float = Field(default=30.0, gt=0, le=600, allow_inf_nan=False)
    max_wait_seconds: float = Field(default=0.5, gt=0, le=60, allow_inf_nan=False)
    rate_limit: float = 0.0
    max_connections: int = Field(default=4096, ge=16, le=1_000_000)
    keep_alive_seconds: int = Field(default=75, ge=1, le=3600)
    spool: bool = False
    spool_max_bytes: int = Field(default=256 * 2**20, ge=2**20, le=2**40)
    training_max_bytes: int = Field(default=2 * 10**9, ge=10**9, le=10**12)
    public_url: str = ""
    mail_from: str = ""
    smtp_url: SecretStr | None = None
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_list_of)] = (
        "127.0.0.1",
        "::1",
    )

    @property
    def sqlite_file(self) -> Path:
        """Where the store is when no database is named."""
        return self.data_dir / "duyet.db"

    @property
    def sqlalchemy_url(self) -> str:
        """Where the store is, with its password: for the store alone, never to be shown."""
        if self.database_url is None:
            return f"sqlite:///{self.sqlite_file}"
        url = self.database_url.get_secret_value()
        return url.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def sqlalchemy_replica_url(self) -> str:
        """Where the read replica is, with its password; empty when there is none."""
        return "" if self.replica_url is None else self.replica_url.get_secret_value()

    @property
    def mailer(self) -> Mailer | None:
        """Who hands in mails; None where none can be sent."""
        if self.smtp_url is None or not self.mail_from:
            return None
        return Mailer(Server.of(self.smtp_url.get_secret_value()), self.mail_from)

    @property
    def models_dir(self) -> Path:
        """The registry of models."""
        return self.models or self.data_dir / "models"

    @property
    def secrets_dir(self) -> Path:
        """The installation's keys, readable by their owner only."""
        return self.data_dir / "secrets"

    @property
    def spool_dir(self) -> Path:
        """Where comments are kept while the database is away."""
        return self.data_dir / "spool"

    @property
    def own_url(self) -> str:
        """The address people reach the service at, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"

    @field_validator("host")
    @classmethod
    def _is_host(cls, value: str) -> str:
        try:
            ip_network(value)
        except ValueError:
            if not _HOST_NAME.match(value):
                _wrong("an IP address or a host name")
        return value if "/" not in value else _wrong("one address, not a network")

    @field_validator("rate_limit")
    @classmethod
    def _is_rate(cls, value: float) -> float:
        if not is_rate(value):
            _wrong(RATES)
        return value

    @field_validator("data_dir", "models")
    @classmethod
    def _is_directory(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        if "\0" in str(value):
            _wrong("a path without NUL")
        try:
            path = value.expanduser().absolute()
        except RuntimeError:
            _wrong("a path; of a user that it names there is no home")
        if path.exists() and not path.is_dir():
            _wrong("a directory; what is there is a file")
        return path

    @field_validator("database_url")
    @classmethod
    def _is_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _names_a_database(value.get_secret_value()):
            _wrong(
                "sqlite:///PATH, postgresql://USER:PASSWORD@HOST:PORT/NAME "
                "or postgresql+psycopg://…"
            )
        return value

    @field_validator("replica_url")
    @classmethod
    def _is_replica(cls, value: SecretStr | None) -> SecretStr | None:
        url = "" if value is None else value.get_secret_value()
        if value is not None and (url.startswith("sqlite") or not _names_a_database(url)):
            _wrong("postgresql://USER:PASSWORD@HOST:PORT/NAME or postgresql+psycopg://…")
        return value

    @field_validator("retention_days", "spoken_retention_days")
    @classmethod
    def _outlives_a_request(cls, value: int, info: ValidationInfo) -> int:
        if 0 < value < SHORTEST_RETENTION_DAYS:
            _wrong(_RANGES[str(info.field_name)])
        if info.field_name == "spoken_retention_days" and value:
            days = info.data.get("retention_days", 0)
            if not 0 < days <= value:
                _wrong(f"0, or at least {variable('retention_days')}, which must be set")
        return value

    @field_validator("public_url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        if value and not _is_plain_web_address(value):
            _wrong("http:// or https://, a host, and nothing but a path after it")
        return value.rstrip("/")

    @field_validator("smtp_url")
    @classmethod
    def _is_mail_server(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None:
            return None
        try:
            Server.of(value.get_secret_value())
        except ValueError:
            _wrong(WHAT_IT_LOOKS_LIKE)
        if not info.data.get("public_url") or not info.data.get("mail_from"):
            _wrong(f"set together with {variable('public_url')} and {variable('mail_from')}")
        return value

    @field_validator("mail_from")
    @classmethod
    def _is_sender(cls, value: str) -> str:
        try:
            if value:
                sender_of(value)
        except ValueError:
            _wrong("an email address in ASCII, or NAME <ADDRESS>")
        return value

    @field_validator("models_url")
    @classmethod
    def _is_bucket(cls, value: str) -> str:
        if value and not _BUCKET.fullmatch(value):
            _wrong("s3://BUCKET or s3://BUCKET/PREFIX")
        return value

    @field_validator("trusted_model_keys")
    @classmethod
    def _are_public_keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(PUBLIC_KEY.fullmatch, value)):
            _wrong("public keys as `duyet models key` prints them, separated by commas")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in value:
            try:
                ip_network(proxy)
            except ValueError:
                _wrong("IP addresses or networks such as 10.0.0.0/8, separated by commas")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in: the loader reads the environment, so that tests can too."""
        return (init_settings,)


def is_rate(value: float) -> bool:
    """Whether this is a rate limit: 0 for none, or a number in the range that `RATES` tells."""
    return value == 0 or 0.01 <= value <= 1_000_000


def variable(name: str) -> str:
    """The environment variable of a setting: `data_dir` is DUYET_DATA_DIR."""
    return PREFIX + name.upper()


def load_settings(environ: Mapping[str, str]) -> Settings:
    """The settings that `environ` asks for, defaults for the rest.

    An empty variable counts as not set. Raises SettingsError with every problem at once:
    wrong values and, so that a typo is not silently a default, unknown DUYET_ names.
    """
    problems = [_unknown(name) for name in sorted(environ) if _is_unknown(name)]
    try:
        settings = Settings(**_set_in(environ))
    except ValidationError as error:
        problems += [
            _line(detail, environ)
            for detail in error.errors(include_url=False, include_input=False)
        ]
        raise SettingsError(problems) from None  # the chained error would show what was set
    if problems:
        raise SettingsError(problems)
    return settings


def _set_in(environ: Mapping[str, str]) -> dict[str, Any]:
    values = {name: environ.get(variable(name)) for name in Settings.model_fields}
    return {name: value for name, value in values.items() if value}


def _is_unknown(name: str) -> bool:
    known = {variable(field) for field in Settings.model_fields}
    return name.upper().startswith(PREFIX) and name not in known


def _unknown(name: str) -> str:
    known = [variable(field) for field in Settings.model_fields]
    near = difflib.get_close_matches(name.upper(), known, n=1)
    shown = name if _PLAIN_VALUE.match(name) else f"a variable that begins with {PREFIX}"
    return f"{shown} is no setting" + (f"; did you mean {near[0]}?" if near else "")


def _line(detail: ErrorDetails, environ: Mapping[str, str]) -> str:
    field = str(detail["loc"][0])
    value = environ[variable(field)]
    # Of a secret, or of what may hold one, even the wrong value stays unsaid.
    shown = f"is '{value}'; it " if field in _SHOWN and _PLAIN_VALUE.match(value) else ""
    return f"{variable(field)} {shown}{_expected(field, detail)}"


def _expected(field: str, detail: ErrorDetails) -> str:
    if detail["type"] == "setting":
        return detail["msg"]
    return f"must be {_RANGES[field]}"


def _names_a_database(url: str) -> bool:
    if url.startswith("sqlite:///"):
        path, options, _ = url.removeprefix("sqlite:///").partition("?")
        # A database in memory would forget acknowledged verdicts.
        return bool(path.strip("/")) and ":memory:" not in path and not options
    if not url.startswith(_POSTGRES):
        return False
    try:
        parts = urlsplit(url)
        return parts.port != 0 and bool(parts.path.strip("/"))
    except ValueError:
        return False


def _is_plain_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        usable = parts.port != 0
    except ValueError:
        return False
    return (
        usable
        and parts.scheme in ("http", "https")
        and bool((parts.hostname and _HOST_NAME.match(parts.hostname)) or "[" in parts.netloc)
        and "@" not in url
        and bool(_PATH.fullmatch(parts.path))
        and not parts.query
        and not parts.fragment
    )
