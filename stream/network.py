"""Source and analysis on two computers: which addresses and keys either of them uses.

The source's computer listens and the analysis' calls, so one computer needs open ports: that of
`network.address` and the next three. Status, and results for dashboards, stay on
either computer.
"""

from typing import Literal

from msgspec.structs import replace

from stream.config import ConfigError
from stream.config_live import NetworkConfig
from stream.job import JobEndpoints
from stream.results import StreamError
from stream.transport.keys import Keys, load_keys
from stream.transport.sockets import IN_THE_CLEAR, is_local

LINES = ("frames", "control", "triggers", "uplink")  # ports from that of the address on
EVERYWHERE = ("*", "0.0.0.0")


def network_keys(network: NetworkConfig) -> Keys | None:
    """Keys of a run on two computers; None on one, and for two parts on one computer without keys.

    Raises
    ------
    ConfigError
        If the analysis is told where to listen, not where to call.
    StreamError
        If a key cannot be used, or keys are needed and there are none.
    """
    if network.role == "both" or network.address is None:
        return None
    if network.role == "analysis" and network.host in EVERYWHERE:
        raise ConfigError(
            f"network.address is {network.address}, where a source may listen; the analysis must know the "
            "source's own number or name, e.g. tcp://192.168.1.20:5600"
        )
    if network.keys is not None:
        return load_keys(network.keys)
    if not is_local(network.address):
        raise StreamError(f"network.address {network.address} {IN_THE_CLEAR}")
    return None


def network_endpoints(network: NetworkConfig, local: JobEndpoints) -> JobEndpoints:
    """The endpoints of a run, those that join two computers at `network.address`."""
    if network.role == "both" or network.address is None:
        return local
    host, _, port = network.address.rpartition(":")
    return replace(local, **{line: f"{host}:{int(port) + i}" for i, line in enumerate(LINES)})


def clocks_differ(network: NetworkConfig) -> bool:
    """Whether source and analysis read two clocks, whose offset must be measured."""
    return network.role != "both" and network.address is not None and not is_local(network.address)


def waiting_for(other: Literal["source", "analysis"], network: NetworkConfig) -> str:
    """A sentence that says for whom this computer waits."""
    host, _, port = (network.address or "").rpartition(":")
    if other == "analysis":
        last = int(port) + len(LINES) - 1
        return f"waiting for the analysis at {host}:{port} to {last}; Ctrl-C ends the wait"
    return f"waiting for the source at {network.address}; Ctrl-C ends the wait"
