"""What a child process is told to do, as JSON on its command line."""

import msgspec
from msgspec import Struct, json

from stream.config import RunConfig
from stream.transport.sockets import Endpoints


class JobEndpoints(Struct, frozen=True):
    """Where the processes of one run meet."""

    frames: str
    control: str
    results: str
    status: str
    triggers: str = ""
    uplink: str = ""  # where results reach the source's computer, if it is another one
    desk: str = ""  # where dashboards ask and tell the analysis what their users want
    pictures: str = ""

    def stream(self) -> Endpoints:
        """The endpoints of source and analysis."""
        return Endpoints(self.frames, self.control, self.results)


class Job(Struct, frozen=True):
    """One run: its configuration (as JSON text), its folder and its endpoints."""

    config: str
    run_folder: str
    endpoints: JobEndpoints

    @classmethod
    def of(cls, config: RunConfig, run_folder: str, endpoints: JobEndpoints) -> "Job":
        """Describe a run."""
        # Only what was set: the parts must still know what was left to its default.
        return cls(config.model_dump_json(exclude_unset=True), run_folder, endpoints)

    def run_config(self) -> RunConfig:
        """The configuration of the run."""
        # Not model_validate_json: in JSON mode a default that is a path is refused.
        return RunConfig.model_validate(json.decode(self.config))

    def at(self, **endpoints: str) -> "Job":
        """The same job at other endpoints."""
        return msgspec.structs.replace(self, endpoints=msgspec.structs.replace(self.endpoints, **endpoints))

    def to_json(self) -> str:
        """Text for a command line."""
        return json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """Job from a command line."""
        return json.decode(text, type=cls)
