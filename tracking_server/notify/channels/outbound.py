"""The one door to addresses that firms choose: their webhooks. Nothing behind it reaches the inside of our network.

A URL is read strictly, its name is resolved once, every address it has is looked at, and the connection goes to exactly
the address that was looked at, with the name in Host and TLS. There are no redirects.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import urlsplit

import httpcore

Resolve = Callable[[str, int], Awaitable[list[str]]]
PORTS = frozenset({443, 8443})
LOCAL_PORTS = frozenset({80, 443, 8080, 8443})
LONGEST_URL = 2_000
NAME = re.compile(r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)")  # as a last label, it makes the whole an IPv4 address to a resolver
V4_KEPT = tuple(
    ipaddress.IPv4Network(net)
    for net in ("192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.175.48.0/24")
)
V6_OPEN = ipaddress.IPv6Network("2000::/3")  # all global addresses; NAT64, mapped, link-local and local lie outside
V6_KEPT = tuple(
    ipaddress.IPv6Network(net) for net in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)


class Forbidden(ValueError):
    """The address is not one of the open Internet's; the text says what is wrong with it."""


def check_url(url: str, *, local: bool) -> str:
    """The URL if it may be called as far as its spelling tells; raises `Forbidden`. `local` is for development."""
    if len(url) > LONGEST_URL or not url.isascii() or any(c <= " " or c in '\\"<>^`{|}\x7f' for c in url):
        raise Forbidden("write the URL in plain ASCII letters, an international name as xn--...")
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        raise Forbidden("this is no URL") from None
    if split.scheme != "https" and not (local and split.scheme == "http"):
        raise Forbidden("a webhook's URL begins with https://")
    if split.username is not None or split.password is not None or split.fragment or "@" in split.netloc:
        raise Forbidden("leave names, passwords and # out of the URL")
    ports = LOCAL_PORTS if local else PORTS
    if (port if port is not None else {"https": 443, "http": 80}[split.scheme]) not in ports:
        raise Forbidden(f"a webhook's port is one of {', '.join(map(str, sorted(ports)))}")
    host = split.hostname or ""
    if ":" in host:
        _check_literal(ipaddress.IPv6Address, host, local)
    elif NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        _check_literal(ipaddress.IPv4Address, host, local)
    elif not NAME.fullmatch(host):
        raise Forbidden("this is no host's name")
    return url


def _check_literal(kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address], host: str, local: bool) -> None:
    """An address in numbers is taken in its one usual spelling only."""
    try:
        address = kind(host)
    except ValueError:
        raise Forbidden("write the address as 203.0.113.7, or a name") from None
    if str(address) != host:
        raise Forbidden("write the address as 203.0.113.7, or a name")
    check_address(host, local=local)


def check_address(text: str, *, local: bool) -> None:
    """Raises `Forbidden` unless this is a unicast address of the open Internet, or one's own machine in development."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        raise Forbidden("this is no address") from None
    if local and address.is_loopback:
        return
    if isinstance(address, ipaddress.IPv4Address):
        inside = any(address in net for net in V4_KEPT)
    else:
        inside = address not in V6_OPEN or any(address in net for net in V6_KEPT)
    if inside or not address.is_global or address.is_multicast or address.is_reserved or "%" in text:
        raise Forbidden("this address is not one of the open Internet's")


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to what `check_address` lets through and to nothing else."""

    def __init__(self, *, local: bool, resolve: Resolve = resolve) -> None:
        self._local = local
        self._resolve = resolve
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve once, look at every address, connect to the first. Raises `Forbidden` before any connection."""
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError("the name is not known") from error
        for address in addresses:
            check_address(address, local=self._local)
        if not addresses:
            raise httpcore.ConnectError("the name has no address")
        return await self._network.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never: raises `Forbidden`."""
        raise Forbidden("a file is not an address")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
