"""The types that settings have: each accepts what the images can take, and says in words what it refuses."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, SecretStr

from stack.naming import is_project_name

# A reference as registries and the engine take it: [host[:port]/]path[:tag][@digest]; source: the OCI distribution specification.
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]+)?/)?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE_REFERENCE = re.compile(rf"({_HOST}{_COMPONENT}(?:/{_COMPONENT})*)(?::[\w][\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?")
_LONGEST_IMAGE_NAME = 255
_HIGHEST_PORT = 65535

# As PostgreSQL's own configuration names them, and what a command line and a start script can carry: no blank, no quote.
_PARAMETER = re.compile(r"([A-Za-z_]\w*(?:\.\w+)?)=([^\s'\"\\\\]+)", re.ASCII)
_PARAMETERS_SET_HERE = frozenset(
    {"max_connections", "port", "listen_addresses", "data_directory", "config_file", "hba_file", "ident_file", "unix_socket_directories"}
)

# What every image, URL, configuration file and shell on the way can carry: printable ASCII without blanks, quotes and backslash.
_SECRET = re.compile(r"""[!-~]+""")
_SECRET_EXCLUDED = frozenset("\"'`\\")
_MINIO_PASSWORD_MINIMUM = 8  # MinIO refuses to start with a shorter one

# Tried on PostgreSQL 16 through its image: with these it ends while it makes the cluster.
_RESERVED_ROLES = frozenset({"none", "public"})
_RESERVED_DATABASES = frozenset({"template0", "template1"})

# MinIO takes no bucket of its own name: it is the path of its administration.
_RESERVED_BUCKET = "minio"

_LABEL = r"(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"(?:{_LABEL}\.)+[a-z]{{2,63}}", re.IGNORECASE)

# pgAdmin checks its login with the package email-validator, which refuses domains of no mail server (its SPECIAL_USE_DOMAIN_NAMES).
_EMAIL = re.compile(rf"(?!.{{255}})[\w+%-]+(?:\.[\w+%-]+)*@(?:{_LABEL}\.)+({_LABEL}(?<=[a-z]))", re.ASCII | re.IGNORECASE)
_NO_MAIL_DOMAINS = frozenset({"arpa", "invalid", "local", "localhost", "onion", "test"})


def _image_reference(value: str) -> str:
    found = _IMAGE_REFERENCE.fullmatch(value)
    if not found or not _is_image_name(found[1]):
        raise ValueError("is not an image reference: write [registry/]name[:tag][@sha256:digest], in lower case, as in postgres:16.1")
    return value


def _is_image_name(name: str) -> bool:
    """Whether the engine takes it: not one that is too long, has no possible port, or would be an image's id."""
    port = re.match(r"[^/:]+:(\d+)/", name)
    return len(name) <= _LONGEST_IMAGE_NAME and not re.fullmatch("[0-9a-f]{64}", name) and (not port or 0 < int(port[1]) <= _HIGHEST_PORT)


def _not_empty(otherwise: str) -> AfterValidator:
    """An empty secret is a mistake. `otherwise` says what comes of none at all."""

    def check(value: SecretStr) -> SecretStr:
        if not value.get_secret_value():
            raise ValueError(f"is empty: give it a value, or leave the line out {otherwise}")
        return value

    return AfterValidator(check)


def _secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not _SECRET.fullmatch(text) or _SECRET_EXCLUDED & set(text):
        raise ValueError("holds characters that the images can't take: use letters, digits and punctuation, no blank, quote or backslash")
    return value


def _passphrase(value: SecretStr) -> SecretStr:
    """What `age` takes at its prompt, which is a line, and a key file gives back, whose ends are stripped."""
    text = value.get_secret_value()
    if text != text.strip():
        raise ValueError("begins or ends with a blank, which a key file loses: put blanks only between words")
    if not text.isprintable():
        raise ValueError("holds characters that can't be typed at a prompt: use letters, digits, punctuation and plain blanks, in one line")
    return value


def _minio_password(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < _MINIO_PASSWORD_MINIMUM:
        raise ValueError(f"is too short: MinIO takes {_MINIO_PASSWORD_MINIMUM} characters or more")
    return value


def _time_zone(value: str) -> str:
    try:
        ZoneInfo("America/Sao_Paulo")
    except ZoneInfoNotFoundError:
        return value  # this machine has no time zone database to compare with; the images have their own
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("is not a time zone: write a name of the IANA database, as in America/Sao_Paulo") from error
    return value


def _cpus(value: float) -> float:
    if round(value, 2) != value:
        raise ValueError("is finer than a hundredth of a core: write two decimals at most, as in 0.25")
    return value


def _bind_address(value: str) -> str:
    """The address in the one form in which the engine gives it back; another would replace the container at every refresh."""
    try:
        address = ip_address(value)
    except ValueError:
        raise ValueError("is not an IP address: write one of this machine, as in 192.168.1.10, or 0.0.0.0 for all of them") from None
    if not _can_be_published_on(address):
        raise ValueError("is an address on which no port can be published: write one of this machine, or 0.0.0.0 for all of them")
    return str(address)


def _can_be_published_on(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return not address.is_multicast and address != IPv4Address("255.255.255.255")
    # A link-local address needs a zone, and the engine takes none. A mapped one is IPv4, and the engine gives it back in that form.
    return not (address.is_multicast or address.is_link_local or address.scope_id or address.ipv4_mapped)


def _project_name(value: str) -> str:
    if not is_project_name(value):
        raise ValueError("can't name a Compose project and its image: write lower-case letters and digits, with single _ or - between them")
    return value


def _role(value: str) -> str:
    if value.startswith("pg_") or value in _RESERVED_ROLES:
        raise ValueError("is a name that PostgreSQL keeps for itself: choose another, with no pg_ in front")
    return value


def _database(value: str) -> str:
    if value in _RESERVED_DATABASES:
        raise ValueError("is a database that every PostgreSQL server has for itself: choose another name")
    return value


def _parameters(value: str) -> str:
    for each in value.split():
        found = _PARAMETER.fullmatch(each)
        if not found:
            raise ValueError("is not a list of PostgreSQL parameters: write name=value, separated by blanks, as in shared_buffers=256MB")
        if found[1].lower() in _PARAMETERS_SET_HERE:
            raise ValueError(f"holds {found[1]}, which is set by this program (max_connections by a setting of its own): leave it out")
    return value


def _bucket_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", value) or re.search(r"\.\.|\.-|-\.", value):
        raise ValueError(
            "is not a bucket name: write 3 to 63 lower-case letters, digits, . or -, a letter or digit on both sides of each dot"
        )
    if re.fullmatch(r"(\d+\.){3}\d+", value):
        raise ValueError("is not a bucket name: S3 takes none that looks like an IP address")
    if value == _RESERVED_BUCKET:
        raise ValueError("is a name that MinIO keeps for itself: choose another")
    return value


def _email(value: str) -> str:
    found = _EMAIL.fullmatch(value)
    if not found:
        raise ValueError(
            "is not an e-mail address that pgAdmin takes: write one of plain letters, digits, . _ + or -, as in admin@example.com"
        )
    if found[1].lower() in _NO_MAIL_DOMAINS:
        raise ValueError("has a domain that pgAdmin refuses, for no mail can reach it: write another, as in admin@example.com")
    return value


def _folder(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty: name a folder, as in backups, or leave the line out")
    try:
        Path(value).expanduser()
    except RuntimeError:
        raise ValueError("begins with the home of a user that this machine does not have: write the folder's whole path") from None
    return value


def _text(value: str) -> str:
    if not value.isprintable():
        raise ValueError("holds characters that can't be shown: write it in one line of letters, digits, punctuation and blanks")
    return value


def _http_url(value: str) -> str:
    try:
        url = urlsplit(value)
        good = url.scheme in {"http", "https"} and url.hostname is not None and url.port != 0 and not re.search(r"\s", value)
    except ValueError:
        good = False
    if not good:
        raise ValueError("is not a URL: write http://host or https://host, with :port where it is not the usual one")
    return value


def _webhook_url(value: str) -> str:
    """What Evolution API 2.2.3 calls. It checks a global webhook's host, and leaves one that it doesn't like alone without a word."""
    host = urlsplit(_http_url(value)).hostname or "" if value else None
    if host is not None and not _HOST_NAME.fullmatch(host) and not _is_address(host):
        mend = "write a host with a dot, two letters or more after it and no underscore, as in http://app.internal:8000/webhooks"
        raise ValueError(f"would never be called by Evolution API 2.2.3: {mend}")
    return value


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _matches(pattern: str, mend: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(mend)
        return value

    return AfterValidator(check)


HostPort = Annotated[int, Field(ge=1, le=65535)]
MemoryMiB = Annotated[int, Field(ge=32, le=1_048_576)]
Cpus = Annotated[float, Field(ge=0.05, le=256, allow_inf_nan=False), AfterValidator(_cpus)]
BindAddress = Annotated[str, AfterValidator(_bind_address)]
Secret = Annotated[SecretStr, _not_empty("and one is generated"), AfterValidator(_secret)]
CallerKey = Annotated[
    SecretStr, _not_empty("and callers need none in development, and a generated one in production"), AfterValidator(_secret)
]
Passphrase = Annotated[SecretStr, _not_empty("and backups are not encrypted"), AfterValidator(_passphrase)]
MinioSecret = Annotated[Secret, AfterValidator(_minio_password)]
ImageReference = Annotated[str, AfterValidator(_image_reference)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
_SqlName = Annotated[
    str,
    _matches(r"[a-z_][a-z0-9_]{0,62}", "is not a plain SQL name: write lower-case letters, digits and _, 63 at most, no digit first"),
]
RoleName = Annotated[_SqlName, AfterValidator(_role)]
DatabaseName = Annotated[_SqlName, AfterValidator(_database)]
LoginName = Annotated[str, _matches(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "is not a login name: write 1 to 64 letters, digits, _ . or -")]
MinioUser = Annotated[
    str, _matches(r"[A-Za-z0-9][A-Za-z0-9_.-]{2,63}", "is not a login name that MinIO takes: write 3 to 64 letters, digits, _ . or -")
]
ClientName = Annotated[str, _matches(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "is not a client name: write 1 to 64 letters, digits, _ . or -")]
RedisPrefix = Annotated[str, _matches(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "is not a prefix: write 1 to 64 letters, digits, _ . or -")]
PostgresParameters = Annotated[str, AfterValidator(_parameters)]
ExchangeName = Annotated[
    str,
    _matches(
        r"(?!amq\.)[A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
        "is not an exchange's name: write 1 to 64 letters, digits, _ . or -, and no amq. in front, which RabbitMQ keeps for itself",
    ),
]
Text = Annotated[str, AfterValidator(_text)]
BucketName = Annotated[str, AfterValidator(_bucket_name)]
ProjectName = Annotated[str, AfterValidator(_project_name)]
DataVolume = Annotated[str, _matches(r"[a-z0-9][a-z0-9_.-]*", "is not a volume's name: write lower-case letters, digits, _ . or -")]
PhoneVersion = Annotated[str, _matches(r"(\d+\.\d+\.\d+)?", "is not a WhatsApp Web version: write three numbers, as in 2.3000.1015901307")]
_LEVELS = "ERROR|WARN|DEBUG|INFO|LOG|VERBOSE|DARK|WEBHOOKS|WEBSOCKET"
LogLevels = Annotated[
    str,
    _matches(
        rf"({_LEVELS})(,({_LEVELS}))*", f"is not a list of log levels: write some of {_LEVELS.replace('|', ', ')}, separated by commas"
    ),
]
Email = Annotated[str, AfterValidator(_email)]
Folder = Annotated[str, AfterValidator(_folder)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
WebhookUrl = Annotated[str, AfterValidator(_webhook_url)]
