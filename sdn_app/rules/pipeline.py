"""The pipeline's names and numbers: tables, priorities, registers, zones, cookies, tags. No literal stands elsewhere.

Tables in the order in which a packet can meet them:

    admission   the port's role: host, function, trunk, unknown; spoofed and malformed frames end here
    proxy       a frame that comes back from a function finds its path and position again
    nsh         a frame that comes over a trunk inside NSH: on to the next trunk, or out of NSH and to `steer`
    classify    replies of known connections to their reverse path; traffic to its chain
    connection  known connections carry their path in ct_mark; a new one is dealt a path
    commit      a path chosen by a select group is written to conntrack
    steer       (path, position) to the next function: on this switch, or inside NSH towards another
    arp         answered in the switch for known addresses
    deliver     IPv4 destination to MAC address
    forward     plain forwarding by MAC address along shortest paths

Registers: reg0 the target being dealt, reg1 the path (SPI), reg2 the position (SI). Pure.
"""

from enum import IntEnum

ADMISSION, PROXY, NSH, CLASSIFY, CONNECTION, COMMIT, STEER, ARP, DELIVER, FORWARD = range(10)
TABLE_NAMES = ("admission", "proxy", "nsh", "classify", "connection", "commit", "steer", "arp", "deliver", "forward")

REG_TARGET, REG_SPI, REG_SI = "reg0", "reg1", "reg2"
SPI_BITS = 24
FIRST_SI = 255  # the service index of a path's first position, as RFC 8300 starts it

ETH_IPV4, ETH_ARP, ETH_NSH, ETH_PROBE = 0x0800, 0x0806, 0x894F, 0x88B5
ARP_REQUEST, ARP_REPLY = 1, 2

PORT_IN, PORT_CONTROLLER = 0xFFFFFFF8, 0xFFFFFFFD
WHOLE_PACKET = 0xFFFF

CT_NEW, CT_EST, CT_RPL, CT_INV, CT_TRK = 0x01, 0x02, 0x08, 0x10, 0x20

NSH_TTL = 63
GROUP_WEIGHT = 100  # a bucket's weight for one share; with 1 the hash spreads badly

# priorities, per table
ADMIT_FUNCTION, ADMIT_HOST, ADMIT_PROBE, ADMIT_TRUNK, ADMIT_SPOOFED, ADMIT_UNKNOWN = 600, 500, 450, 400, 300, 100
CLASSIFY_REPLY, CLASSIFY_ORPHAN, CLASSIFY_CHAIN, CLASSIFY_IMPLICIT, CLASSIFY_NONE = 3000, 2900, 1001, 1000, 1
CONNECTION_KNOWN, CONNECTION_INVALID, CONNECTION_DEAL = 300, 250, 100
EXACT, MISS = 100, 1

SERVICE_MAC = 0x025FC0000001
SWITCH_MAC = 0x025FC1000000  # + datapath id: outer source and destination of NSH frames
METER_UNKNOWN = 1


class Cookie(IntEnum):
    """What an entry is for; the second highest 16 bits of its cookie."""

    ADMIT = 1
    SPOOFED = 2
    CLASSIFY = 3
    DEAL = 4
    BLOCKED = 5
    PATH = 6
    REPLY = 7
    STEER = 8
    STOP = 9
    NSH = 10
    FORWARD = 11
    DELIVER = 12
    ARP = 13
    ARP_MISS = 14
    PROBE = 15
    UNKNOWN = 16
    ORPHAN = 17
    INVALID = 18
    COMMIT = 19


COOKIE_OWNER = 0x5FC0 << 48
COOKIE_OWNER_MASK = 0xFFFF << 48


def cookie(kind: Cookie, value: int = 0) -> int:
    """A 64-bit cookie: owner (16 bits), kind (16 bits), value (32 bits)."""
    return COOKIE_OWNER | kind << 32 | value


def cookie_parts(value: int) -> tuple[int, int] | None:
    """(kind, value) of a cookie of ours; None for anybody else's."""
    if value & COOKIE_OWNER_MASK != COOKIE_OWNER:
        return None
    return value >> 32 & 0xFFFF, value & 0xFFFFFFFF


def stop_value(spi: int, si: int) -> int:
    """The cookie value of an entry that belongs to one position of a path."""
    return spi << 8 | si


def tag_mac(spi: int, si: int) -> int:
    """The destination MAC that carries (SPI, SI) around a function: 0a:5f, three bytes SPI, one byte SI."""
    return 0x0A5F << 32 | spi << 8 | si


def ingress_zone(index: int) -> int:
    """Conntrack zone of the clients' side of a switch. Bridges of one datapath share conntrack, so each has its own."""
    return 2 * index


def egress_zone(index: int) -> int:
    """Conntrack zone of the servants' side of a switch."""
    return 2 * index + 1
