"""What counts as a URL for 2.2.3: the rules of validator 13.12, by which it judges webhooks and media."""

import ipaddress
import re

_LONGEST = 2083
_LABEL = re.compile(r"[a-z_\u00a1-\uffff0-9-]+", re.IGNORECASE)
_TLD = re.compile(r"([a-z\u00a1-\u00a8\u00aa-\ud7ff\uf900-\ufdcf\ufdf0-\uffef]{2,}|xn[a-z0-9-]{2,})", re.IGNORECASE)
_LAST_PORT = 65535


def is_url(value: object, *, require_tld: bool) -> bool:
    """Whether a value is an http, https or ftp URL; the scheme may be missing.

    With `require_tld` a bare host name such as `app` is refused; one with an underscore always is.
    """
    if not isinstance(value, str) or not value or len(value) >= _LONGEST or re.search(r"[\s<>]", value) or value.startswith("mailto:"):
        return False
    scheme, found, rest = re.split(r"[#?]", value, maxsplit=1)[0].partition("://")
    if found and scheme.lower() not in {"http", "https", "ftp"}:
        return False
    authority = (rest if found else scheme).split("/", 1)[0]
    login, has_login, host = authority.rpartition("@")
    if has_login and (login in {"", ":"} or login.count(":") > 1):
        return False
    return _is_host_and_port(host, require_tld=require_tld)


def _is_host_and_port(text: str, *, require_tld: bool) -> bool:
    found = re.fullmatch(r"\[(?P<v6>[^\]]+)\](?::(?P<port6>\d+))?|(?P<host>[^:]*)(?::(?P<port>\d*))?", text)
    if not found:
        return False
    port = found["port6"] or found["port"]
    if port and not 0 < int(port) <= _LAST_PORT:
        return False
    host = found["v6"] or found["host"]
    return _is_ip(host) or (not found["v6"] and _is_domain(host, require_tld=require_tld))


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_domain(host: str, *, require_tld: bool) -> bool:
    labels = host.split(".")
    if labels[-1].isdigit():
        return False
    if require_tld and (len(labels) == 1 or not _TLD.fullmatch(labels[-1])):
        return False
    return all(
        _LABEL.fullmatch(label) and len(label) <= 63 and label[0] != "-" and label[-1] != "-" and "_" not in label for label in labels
    )
