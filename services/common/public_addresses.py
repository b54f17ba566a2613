"""Which addresses requests on behalf of strangers may go to (fault 20)."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_PRIVATE = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("127.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv6Network("::1/128"),
    IPv6Network("fc00::/7"),
)
"""Those of somebody's own network, and of the machine itself."""

_NEVER = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),  # relays to 6to4
    IPv4Network("100.100.100.200/32"),  # here, and at the next ones, clouds answer their own machines (Alibaba)
    IPv4Network("168.63.129.16/32"),  # Azure
    IPv6Network("fd00:ec2::254/128"),  # Amazon
    IPv6Network("fd20:ce::254/128"),  # Google
    IPv6Network("2001::/23"),  # Teredo among them, which has an IPv4 address inside
    IPv6Network("2002::/16"),  # 6to4, which has one, too
    IPv6Network("3fff::/20"),
)
"""Neither public nor somebody's own, or a way to credentials; `ipaddress` does not know all of them in all versions."""

_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


def allowed(address: str, *, private: bool = False) -> bool:
    """Whether requests may go to the address, in its usual notation: no name, no odd form such as `0177.0.0.1`.

    `private` also allows addresses of private networks and of this machine. Those under which clouds hand out their
    credentials, link-local ones among them, stay refused, and so do multicast and what is no host's address.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return _allowed(parsed, private)


def _allowed(address: IPv4Address | IPv6Address, private: bool) -> bool:
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        if address.ipv4_mapped is not None:
            return _allowed(address.ipv4_mapped, private)
        if address in _NAT64:
            return _allowed(IPv4Address(int(address) & 0xFFFFFFFF), private)
    if any(address in network for network in _NEVER):
        return False
    if any(address in network for network in _PRIVATE):
        return private
    if not address.is_global or address.is_multicast:
        return False
    return isinstance(address, IPv4Address) or address in _UNICAST
