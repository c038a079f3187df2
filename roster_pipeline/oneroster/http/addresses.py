"""Which IP addresses a connection may go to.

Public addresses are allowed by default, private ones by permission, cloud metadata never. The tables follow the IANA
registries of special-purpose addresses as of October 2025 and do not depend on the Python version. Blocks that are
globally reachable but special (relays, overlays) are closed too, because no SIS uses them.
"""

import ipaddress
import socket

import httpcore

from roster_pipeline.oneroster.errors import AddressNotAllowed

NO_SUCH_NAME = "the name could not be resolved"
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_bundle_url(url: str) -> bool:
    """Whether a connection's URL names a CSV bundle (`file://`, `sftp://`) and not an API."""
    return url.strip().lower().startswith(("file://", "sftp://"))


def _networks(*texts: str) -> tuple[IpNetwork, ...]:
    return tuple(ipaddress.ip_network(block) for text in texts for block in text.split())


SPECIAL = _networks(
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 "
    "192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 "
    "203.0.113.0/24 224.0.0.0/4 240.0.0.0/4",
    "2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20",
)
"""The IANA IPv4 Special-Purpose Address Registry and multicast; and the blocks of the IPv6 registry in 2000::/3, of
which RFC 9637's 3fff::/20 is the newest."""
_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
"""All global unicast addresses that were ever assigned. Other addresses are local, special or unused."""
METADATA = _networks(
    "169.254.0.0/16 fe80::/10",  # nearly all of them: AWS, Azure, Google, Oracle, IBM, Tencent, OpenStack, ...
    "168.63.129.16/32",  # Azure's wire server, on a public address
    "100.100.100.200/32",  # Alibaba Cloud
    "192.0.0.192/32",  # Oracle Cloud Infrastructure Classic
    "192.80.8.124/32",  # Equinix Metal
    "fd00:ec2::/32",  # AWS over IPv6: metadata, time, container credentials
    "fd20:ce::254/128",  # Google Cloud over IPv6
    "fd00:c1::a9fe:a9fe/128",  # Oracle Cloud over IPv6
    "fd00:42::42/128",  # Scaleway over IPv6
    "fd00:a9fe:a9fe::/48",  # Akamai (Linode) over IPv6
)
"""Addresses where cloud machines give out their own credentials. These are refused even if private addresses are
allowed."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LAST_32_BITS = (_NAT64, ipaddress.ip_network("::/96"), ipaddress.ip_network("::ffff:0:0:0/96"))
"""IPv6 blocks whose last 32 bits are an IPv4 address: NAT64, IPv4-compatible, SIIT."""


def is_public(address: IpAddress) -> bool:
    """Whether an address is public. A mapped or NAT64 address is judged by its IPv4 address."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None or address in _NAT64:
            address = embedded(address)
        elif address not in _PUBLIC_V6:
            return False
    return not _in(address, SPECIAL)


def embedded(address: IpAddress) -> IpAddress:
    """The IPv4 address inside an IPv6 address; the address itself if there is none."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inside = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if inside is not None:
        return inside
    if any(address in block for block in _LAST_32_BITS) and int(address) > 1:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _in(address: IpAddress, blocks: tuple[IpNetwork, ...]) -> bool:
    return any(address.version == block.version and address in block for block in blocks)


def allowed_addresses(host: str, port: int, allow_private: bool) -> list[str]:
    """All IP addresses of a host. Raises AddressNotAllowed if one is not allowed, httpcore.ConnectError if there is
    none."""
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise httpcore.ConnectError(NO_SUCH_NAME) from None
    addresses = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
    for address in addresses:
        refuse_address(ipaddress.ip_address(address.split("%", 1)[0]), allow_private)
    return addresses


def refuse_address(address: IpAddress, allow_private: bool) -> None:
    """Raise AddressNotAllowed unless the address is public, or private ones are allowed.

    Addresses where cloud machines give out credentials, and addresses that no server has, stay forbidden in any case.
    """
    forms = (address, embedded(address))
    forbidden = any(_in(form, METADATA) or form.is_multicast or form.is_unspecified for form in forms)
    if forbidden or not (allow_private or is_public(address)):
        raise private_address()


def private_address() -> AddressNotAllowed:
    """The error for an address that only the operator can allow."""
    return AddressNotAllowed(
        "The address of the SIS is in a private network or on this machine.",
        "Check the URL. If it is right, an operator can switch on 'Allow private addresses' for this connection "
        "(--allow-private-addresses).",
    )


def is_loopback(host: str) -> bool:
    """Whether a host can only be this machine. Only such hosts may be used without encryption."""
    try:
        return embedded(ipaddress.ip_address(host.strip("[]"))).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
