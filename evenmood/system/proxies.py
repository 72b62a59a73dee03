"""Validate the proxy environment variables, and bypass proxies for loopback addresses."""

import os
from importlib.util import find_spec
from urllib.parse import urlsplit

NAMES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
SCHEMES = ("http", "https", "socks5", "socks5h")
"""Proxy schemes supported by httpx: https://www.python-httpx.org/advanced/proxies/."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_disabled: dict[str, str] = {}


def variables_in_use() -> list[str]:
    """Return the names of the proxy variables that are set, in their original case."""
    return [name for upper in NAMES for name in (upper.lower(), upper) if os.environ.get(name) or _disabled.get(name)]


def find_problem() -> str | None:
    """Describe the first proxy variable that HTTP clients reject; None if all are valid.

    One invalid variable makes every client fail, even for addresses that its proxy does not apply to.
    """
    if "*" in (part.strip() for part in _exempt().split(",")):
        return None
    for name in variables_in_use():
        if problem := _problem(os.environ.get(name) or _disabled[name]):
            return f"the proxy in {name} cannot be used: {problem}"
    return None


def _exempt() -> str:
    return os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""


def _problem(value: str) -> str | None:
    """Describe what is wrong with a proxy URL, without showing it: it may contain a password."""
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        scheme, host, _ = parts.scheme, parts.hostname, parts.port
    except ValueError:
        return "not a valid URL"
    if scheme not in SCHEMES:
        return f"unknown scheme {scheme}://; expected {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}"
    if not host:
        return "it has no host"
    if scheme.startswith("socks") and find_spec("socksio") is None:
        return "a SOCKS proxy requires socksio; install it with: pip install socksio, or unset the variable"
    return None


def exempt_loopback() -> None:
    """Bypass proxies for loopback addresses in this process and its children."""
    hosts = [part.strip() for part in _exempt().split(",") if part.strip()]
    if variables_in_use() and "*" not in hosts:
        exempt = ",".join([*hosts, *(host for host in LOOPBACK if host not in hosts)])
        os.environ.update(no_proxy=exempt, NO_PROXY=exempt)


def disable_invalid() -> None:
    """Remove invalid proxy variables from the environment, so that a process that works offline can start.

    `find_problem` still reports them, for operations that need the network.
    """
    if find_problem():
        for name in variables_in_use():
            if name in os.environ and _problem(os.environ[name]):
                _disabled[name] = os.environ.pop(name)
