"""The workers of one training: their addresses, and which of them this process is."""

from __future__ import annotations

from dataclasses import dataclass

MAX_PORT = 65535


@dataclass(frozen=True)
class Cluster:
    """All workers of one training.

    Attributes:
        addresses: HOST:PORT of each worker; the first one decides, and writes.
        index: Number of this worker, from 0.
        source: Who says so, for messages: `TF_CONFIG`, `SLURM`.
    """

    addresses: tuple[str, ...]
    index: int
    source: str

    @property
    def count(self) -> int:
        """The number of workers."""
        return len(self.addresses)

    @property
    def leads(self) -> bool:
        """True if this is the first worker, which alone writes."""
        return self.index == 0

    @property
    def on_this_host(self) -> tuple[int, int]:
        """Return how many workers with this one's host stand before this one, and how many there are in all."""
        hosts = [split_address(address)[0] for address in self.addresses]
        own = hosts[self.index]
        return hosts[: self.index].count(own), hosts.count(own)

    def name(self, index: int) -> str:
        """Return a worker's number and address, for messages."""
        return f"worker {index} ({self.addresses[index]})"


ALONE = Cluster(("localhost:0",), 0, "")
"""One process, which meets nobody."""


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`, or of `[IPV6]:PORT`.

    Raises:
        ValueError: It is none.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) <= MAX_PORT:
        raise ValueError("must be HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address needs brackets, as in [::1]:2222")
    if not host or any(character.isspace() or not character.isprintable() for character in host):
        raise ValueError("must be HOST:PORT")
    return host, int(port)
