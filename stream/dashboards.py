"""Where dashboards reach a run, and which keys they need for it."""

from msgspec.structs import replace

from stream.config import ConfigError, RunConfig
from stream.job import JobEndpoints
from stream.process import WATCHED
from stream.results import StreamError
from stream.transport.keys import HostKeys, load_host_keys
from stream.transport.sockets import is_local


def dashboard_keys(config: RunConfig) -> HostKeys | None:
    """Keys for the listeners that dashboards call; None where only this computer's can.

    Raises
    ------
    ConfigError
        If a computer that only images is told where dashboards shall call.
    StreamError
        If a key cannot be used, or keys are needed and there are none.
    """
    address, keys = config.dashboards.address, config.dashboards.keys
    if address is None:
        return None
    if config.network.role == "source":
        raise ConfigError(
            "dashboards.address is for the computer that analyses: set it there, and leave it out here"
        )
    if keys is not None:
        return load_host_keys(keys)
    if not is_local(address):
        raise StreamError(
            f"dashboards.address {address} is not on this machine, and nothing leaves it in the clear: make "
            "keys with `piezo1 keys` on every computer that may watch, and set dashboards.keys"
        )
    return None


def dashboard_endpoints(config: RunConfig, local: JobEndpoints) -> JobEndpoints:
    """The endpoints of a run, those that dashboards call at `dashboards.address` and the ports behind it."""
    if config.dashboards.address is None:
        return local
    host, _, port = config.dashboards.address.rpartition(":")
    return replace(local, **{name: f"{host}:{int(port) + i}" for i, name in enumerate(WATCHED)})
