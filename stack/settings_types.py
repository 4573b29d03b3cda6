"""The types that settings have: each accepts what the images can take, and says in words what it refuses."""

import re
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, SecretStr

# A reference as registries and the engine take it: [host[:port]/]path[:tag][@digest]; source: the OCI distribution specification.
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]+)?/)?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE_REFERENCE = re.compile(rf"{_HOST}{_COMPONENT}(?:/{_COMPONENT})*(?::[\w][\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?")

# What every image, URL, configuration file and shell on the way can carry: printable ASCII without blanks, quotes and backslash.
_SECRET = re.compile(r"""[!-~]+""")
_SECRET_EXCLUDED = frozenset("\"'`\\")
_MINIO_PASSWORD_MINIMUM = 8  # MinIO refuses to start with a shorter one


def _image_reference(value: str) -> str:
    if not _IMAGE_REFERENCE.fullmatch(value):
        raise ValueError("is not an image reference: write [registry/]name[:tag][@sha256:digest], in lower case, as in postgres:16.1")
    return value


def _secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text:
        raise ValueError("is empty: give it a value, or leave the line out and one is generated")
    if not _SECRET.fullmatch(text) or _SECRET_EXCLUDED & set(text):
        raise ValueError("holds characters that the images can't take: use letters, digits and punctuation, no blank, quote or backslash")
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
        raise ValueError("is finer than a hundredth of a core")
    return value


def _matches(pattern: str, mend: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(mend)
        return value

    return AfterValidator(check)


HostPort = Annotated[int, Field(ge=1, le=65535)]
MemoryMiB = Annotated[int, Field(ge=32, le=1_048_576)]
Cpus = Annotated[float, Field(ge=0.05, le=256), AfterValidator(_cpus)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
MinioSecret = Annotated[Secret, AfterValidator(_minio_password)]
ImageReference = Annotated[str, AfterValidator(_image_reference)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
SqlName = Annotated[
    str,
    _matches(
        r"(?!pg_)[a-z_][a-z0-9_]{0,62}", "is not a plain SQL name: write lower-case letters, digits and _, 63 at most, no pg_ in front"
    ),
]
LoginName = Annotated[str, _matches(r"[A-Za-z0-9][A-Za-z0-9_.-]{2,63}", "is not a login name: write 3 to 64 letters, digits, _ . or -")]
BucketName = Annotated[
    str, _matches(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "is not a bucket name: write 3 to 63 lower-case letters, digits, . or -")
]
ProjectName = Annotated[str, _matches(r"[a-z0-9][a-z0-9_-]*", "is not a Compose project name: write lower-case letters, digits, _ or -")]
DataVolume = Annotated[str, _matches(r"[a-z0-9][a-z0-9_.-]*", "is not a volume's name: write lower-case letters, digits, _ . or -")]
PhoneVersion = Annotated[str, _matches(r"(\d+\.\d+\.\d+)?", "is not a WhatsApp Web version: write three numbers, as in 2.3000.1015901307")]
_LEVELS = "ERROR|WARN|DEBUG|INFO|LOG|VERBOSE|DARK|WEBHOOKS|WEBSOCKET"
LogLevels = Annotated[
    str,
    _matches(
        rf"({_LEVELS})(,({_LEVELS}))*", f"is not a list of log levels: write some of {_LEVELS.replace('|', ', ')}, separated by commas"
    ),
]
Email = Annotated[str, _matches(r"[^@\s]+@[^@\s]+\.[a-z]{2,}", "is not an e-mail address")]
HttpUrl = Annotated[str, _matches(r"https?://[^\s/]+\S*", "is not a URL: write http://host or https://host")]
# Evolution 2.2.3 checks a global webhook's host and, without a word, never calls one without a dot or with an underscore.
WebhookUrl = Annotated[
    str,
    _matches(
        r"(https?://[^\s/_.]+(\.[^\s/_.]+)+(:\d+)?(/\S*)?)?",
        "would never be called: Evolution API 2.2.3 wants a host with a dot and no underscore, as in http://app.internal:8000/webhooks",
    ),
]
