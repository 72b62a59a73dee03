"""Proxy variables of the environment that no HTTP client can use: named, and kept away from loopback."""

import os
from importlib.util import find_spec
from urllib.parse import urlsplit

NAMES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
SCHEMES = ("http", "https", "socks5", "socks5h")
"""Proxy schemes supported by httpx: https://www.python-httpx.org/advanced/proxies/."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_set_aside: dict[str, str] = {}


def used() -> list[str]:
    """Names of the proxy variables that are set, as they are spelled there."""
    return [name for upper in NAMES for name in (upper.lower(), upper) if os.environ.get(name) or _set_aside.get(name)]


def unusable() -> str | None:
    """What is wrong with the first proxy variable that the HTTP clients refuse; None where they take all of them.

    One such variable makes every client fail, also for addresses that its proxy is not for.
    """
    if "*" in (part.strip() for part in _exempt().split(",")):
        return None
    for name in used():
        if problem := _problem(os.environ.get(name) or _set_aside[name]):
            return f"the proxy of {name} cannot be used: {problem}"
    return None


def _exempt() -> str:
    return os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""


def _problem(value: str) -> str | None:
    """What is wrong with a proxy's address, without the address: it may hold a password."""
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        scheme, host, _ = parts.scheme, parts.hostname, parts.port
    except ValueError:
        return "not an address"
    if scheme not in SCHEMES:
        return f"unknown scheme {scheme}://; expected {', '.join(SCHEMES[:-1])} (socks5:// requires socksio)"
    if not host:
        return "no host in it"
    if scheme.startswith("socks") and find_spec("socksio") is None:
        return "a SOCKS proxy requires socksio; install it with: pip install socksio, or unset the variable"
    return None


def exempt_loopback() -> None:
    """Let this process and its children reach servers of this machine without a proxy."""
    hosts = [part.strip() for part in _exempt().split(",") if part.strip()]
    if used() and "*" not in hosts:
        exempt = ",".join([*hosts, *(host for host in LOOPBACK if host not in hosts)])
        os.environ.update(no_proxy=exempt, NO_PROXY=exempt)


def set_aside() -> None:
    """Take variables that no client can use out of the environment, for a process that works without the network.

    `unusable` still names them, so that what needs the network after all fails with that.
    """
    if unusable():
        for name in used():
            if name in os.environ and _problem(os.environ[name]):
                _set_aside[name] = os.environ.pop(name)
