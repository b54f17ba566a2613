"""Settings of every process, read once: environment `ROOMLINE_*`, then `roomline.toml`, then these defaults."""

import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from services.common import vapid_key

_SUBJECT = re.compile(r"mailto:[^@\s]+@[^@\s]+|https://[^\s/]+\S*")


class Settings(BaseSettings):
    """What an operator can set. `ROOMLINE_DATA_DIR=/srv/chat` sets `data_dir`, and so on."""

    # What is wrong is named and not shown: it may be a secret.
    model_config = SettingsConfigDict(
        env_prefix="ROOMLINE_", toml_file="roomline.toml", extra="ignore", hide_input_in_errors=True
    )

    data_dir: Path = Path("data")
    """Databases, keys and files. Made at first start, readable for its owner only."""
    host: str = "127.0.0.1"
    """Where all listeners bind."""
    port: int = Field(8080, ge=0, le=65535)
    """The gateway's plain listener; 0 picks a free one."""
    tls_port: int = Field(8443, ge=0, le=65535)
    """The gateway's TLS listener; 0 picks a free one. It runs if there is a certificate."""
    tls_certificate: Path | None = None
    """PEM file with the certificate chain."""
    tls_key: Path | None = None
    """PEM file with the certificate's key."""

    public_url: str = Field("", pattern=r"^(https?://[^/?#\s]+)?$")
    """Where clients reach the gateway, such as `https://chat.example.org`: URLs in answers begin with it. Empty for
    wherever a request came to, by its `Host`."""

    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Networks of the proxies in front of the gateway, such as `10.0.0.0/8, fd00::/8`; empty for none. They are
    believed whose request it is (`X-Forwarded-For`, to which each adds whom it was reached from), and whether it came
    by http or https (`X-Forwarded-Proto`, which they must set, and not pass on from a client)."""

    cluster: str = Field("local", pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    """The middle part of the locator of instances that are made from now on: a DNS label (spec §1.1)."""

    user_address: str = "127.0.0.1:50051"
    """host:port of the user service."""
    message_address: str = "127.0.0.1:50052"
    """host:port of the message service."""
    media_address: str = "127.0.0.1:50053"
    """host:port of the media service."""
    ports_reserved: bool = False
    """Somebody, such as the supervisor, holds our ports open for us (SO_REUSEPORT), without listening there."""
    pipe: bool = True
    """Services call each other over the pipe; off means a gRPC call each."""
    pipe_calls_in_flight: int = Field(1024, ge=1, le=65536)
    """How many calls one pipe may have in flight."""

    service_secret: SecretStr = SecretStr("")
    """Signs the tokens with which Roomline's processes call each other; the supervisor hands it to them."""
    operator_secret: SecretStr = SecretStr("")
    """Signs operator tokens; the supervisor hands it to the user service."""

    chat_api_instance: str = Field("", pattern=r"^([^:\s/]{1,160})?$")
    """The instance whose users have accounts, and that `/api/v1` serves; empty for none. In development mode it is the
    development instance."""
    chat_api_always_200: bool = False
    """`/api/v1` answers errors with the status 200 too, for clients that only read `ok`; files keep theirs."""
    registration_open: bool = True
    """Whether anybody may register; server tokens always may."""
    login_strict: bool = False
    """A login with an unknown e-mail address is answered like one with a wrong password, so that nobody learns who has
    an account. Registration still tells."""
    token_issuer: str = Field("roomline", min_length=1, max_length=255)
    """`iss` of the access tokens of accounts."""
    access_token_seconds: int = Field(900, ge=60, le=86_400)
    """How long the access tokens of accounts are valid."""
    refresh_token_days: int = Field(7, ge=1, le=365)
    """How long a session lives that nobody refreshes."""

    presence_grace_seconds: float = Field(2.5, gt=0, le=8)
    """How long users stay online whose last connection is gone: clients that come back meanwhile were never away. The
    Chatkit SDKs expect them to be offline within 10 seconds (spec §9.1)."""
    shutdown_grace_seconds: float = Field(10.0, ge=0)
    """How long calls in flight may take after SIGTERM."""
    max_connections: int = Field(10_000, ge=1)
    """How many connections each of the gateway's listeners has at most; fewer if the process may not open so many
    files (`ulimit -Hn`)."""
    max_subscriptions: int = Field(100_000, ge=1)
    """How many subscriptions a gateway process has at most; whoever comes too late is told when to come back."""
    max_request_bytes: int = Field(1024 * 1024, ge=1024)
    """The largest JSON body (spec §11)."""
    media_url: str = ""
    """Where files are kept: a URL of an object store, such as `s3://bucket/folder`. Empty for the folder `media` in
    `data_dir`. The store's own settings, such as `AWS_ENDPOINT_URL`, come from its usual environment variables. What a
    killed process leaves unfinished in a bucket is for a rule of the bucket's (AbortIncompleteMultipartUpload)."""
    media_direct: bool = False
    """Clients download from the object store itself, by presigned URLs."""
    media_max_bytes: int = Field(5 * 1024**3, ge=1)
    """The largest file."""
    call_timeout_seconds: float = Field(15.0, gt=0)
    """How long the gateway waits for a service."""
    idle_timeout_seconds: float = Field(60.0, gt=0)
    """How long an upload or a download may stand still, because nothing arrives or nothing is taken."""
    finish_timeout_seconds: float = Field(600.0, gt=0)
    """How long the gateway waits, after the last byte of an upload, until it is stored: an object store may take its
    time to put a large file together."""
    watch_heartbeat_seconds: float = Field(15.0, gt=0)
    """The longest silence on a stream of `EventService.Watch`."""
    outbound_allow_private: bool = False
    """Webhooks and web pushes may go to private networks and to this machine, and by http: for receivers of one's own.
    Link-local addresses, under which clouds hand out credentials, stay refused."""
    push_vapid_key: SecretStr = SecretStr("")
    """The key that signs web pushes (RFC 8292): 32 bytes as base64url, as `roomline push-key` makes it. Empty for no
    web push. With another key, browsers must subscribe anew."""
    push_subject: str = Field("", max_length=255, validate_default=True)
    """Whom push services write to if our pushes trouble them: a `mailto:` or `https:` URL."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    idempotency_hours: int = Field(24, ge=1)
    """How long request ids are remembered (AIP-155)."""
    log_days: int = Field(7, ge=1)
    """How long the event log reaches back at least."""
    log_events: int = Field(100_000, ge=1)
    """How many events the log of an instance keeps at least."""

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """What the environment has as text is a list."""
        return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value

    @field_validator("push_vapid_key")
    @classmethod
    def _is_vapid_key(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not vapid_key.is_private(value.get_secret_value()):
            raise ValueError("a private key on the curve P-256 as base64url; make one with: roomline push-key")
        return value

    @field_validator("push_subject")
    @classmethod
    def _is_subject(cls, value: str, others: ValidationInfo) -> str:
        key: SecretStr | None = others.data.get("push_vapid_key")
        if key is not None and key.get_secret_value() and not _SUBJECT.fullmatch(value):
            raise ValueError("a mailto: or https: URL, which ROOMLINE_PUSH_VAPID_KEY needs")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, and that over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)
