"""Key pairs of computers, as files: `piezo1 keys` makes them, the YAML names their folder."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from zmq.utils import z85

from stream.results import StreamError

SECRET_SUFFIX, PUBLIC_SUFFIX = ".secret", ".public"
KEY_LENGTH = 40  # 32 bytes in Z85
MAX_FILE_BYTES = 65536  # a key file has about 200
NETWORK_KEYS, DASHBOARD_KEYS = "network.keys", "dashboards.keys"  # settings that name folders of keys

PUBLIC_TEXT = """\
# Public key of {name}, made by `piezo1 keys`; nothing in here is secret.
# The other computer needs a copy of this file, in its own folder of keys.
curve
    public-key = "{public}"
"""
SECRET_TEXT = """\
# Secret key of {name}, made by `piezo1 keys`: whoever has it can pass for this computer.
# It stays where it was made, in this computer's own folder of keys.
curve
    public-key = "{public}"
    secret-key = "{secret}"
"""


@dataclass(frozen=True, slots=True)
class Keys:
    """The key pair of this computer and the other computer's public key, in Z85."""

    public: bytes
    secret: bytes = field(repr=False)
    peer: bytes


@dataclass(frozen=True, slots=True)
class HostKeys:
    """The key pair of a computer that many may call, and the public keys that it admits, in Z85."""

    public: bytes
    secret: bytes = field(repr=False)
    admitted: frozenset[bytes]

    @property
    def to_itself(self) -> Keys:
        """For whoever calls it on the same computer with its own pair."""
        return Keys(self.public, self.secret, self.public)


def make_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a key pair as two files, `NAME.secret` and `NAME.public`; gives their paths.

    Only the owner may read the secret one (on Windows: whoever may read the folder).

    Raises
    ------
    StreamError
        If a file of this name exists, which is never overwritten, or cannot be written.
    """
    if not re.fullmatch(r"[\w-][\w.-]{0,63}", name):
        raise StreamError(f"{name!r} is no name for key files: use letters, digits, '.', '-' and '_'")
    secret_path, public_path = folder / (name + SECRET_SUFFIX), folder / (name + PUBLIC_SUFFIX)
    for path in (secret_path, public_path):
        if path.exists():
            raise StreamError(f"{path} exists and is never overwritten: choose another --name or folder")
    public, secret = (key.decode("ascii") for key in zmq.curve_keypair())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_new(secret_path, SECRET_TEXT.format(name=name, public=public, secret=secret), 0o600)
        _write_new(public_path, PUBLIC_TEXT.format(name=name, public=public), 0o644)
    except OSError as error:
        raise StreamError(f"cannot write keys into {folder}: {error.strerror or error}") from error
    return secret_path, public_path


def _write_new(path: Path, text: str, mode: int) -> None:
    # Created with its rights: there is no moment in which others could read it.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="ascii") as file:
        file.write(text)


def load_keys(folder: Path, setting: str = NETWORK_KEYS) -> Keys:
    """Read this computer's keys and the other's public key from the folder that holds just these.

    `setting` is what named the folder, for the sentences of errors.

    Raises
    ------
    StreamError
        If a file is missing, is no key, or it is not clear which one is meant.
    """
    own, others = _pair_and_others(folder, setting)
    if len(others) != 1:
        names = _names([path for path, _ in others])
        found = f"{names}: leave one" if others else f"none: copy its *{PUBLIC_SUFFIX} file there"
        raise StreamError(f"{setting}: of the other computer's public key {folder} holds {found}")
    return Keys(own["public"], own["secret"], others[0][1])


def load_host_keys(folder: Path) -> HostKeys:
    """Read this computer's keys and the public keys of all whom it admits, itself included.

    Raises
    ------
    StreamError
        If this computer's pair is missing, or a file is no key.
    """
    own, others = _pair_and_others(folder, DASHBOARD_KEYS)
    admitted = frozenset(key for _, key in others) | {own["public"]}
    return HostKeys(own["public"], own["secret"], admitted)


def _pair_and_others(folder: Path, setting: str) -> tuple[dict[str, bytes], list[tuple[Path, bytes]]]:
    """Its own pair, and the public keys of others with their files."""
    secrets, publics = (sorted(folder.glob("*" + suffix)) for suffix in (SECRET_SUFFIX, PUBLIC_SUFFIX))
    if not secrets:
        raise StreamError(
            f"{setting}: {folder} holds no secret key of this computer; make one here: `piezo1 keys {folder}`"
        )
    if len(secrets) > 1:
        raise StreamError(
            f"{setting}: {folder} holds {_names(secrets)}, but a secret key stays where it was made: "
            "leave only that of this computer"
        )
    own = _read(secrets[0], setting)
    if "secret" not in own:
        raise StreamError(f"{setting}: {secrets[0]} holds a public key only")
    read = {path: _read(path, setting) for path in publics}
    others = {path: keys for path, keys in read.items() if keys["public"] != own["public"]}
    for path, keys in others.items():
        if "secret" in keys:
            raise StreamError(
                f"{setting}: {path} holds a secret key, which must not leave its computer: delete it, "
                f"make new keys there with `piezo1 keys`, and copy only the *{PUBLIC_SUFFIX} file"
            )
    return own, [(path, keys["public"]) for path, keys in others.items()]


def _names(paths: list[Path]) -> str:
    return " and ".join(path.name for path in paths)


def _read(path: Path, setting: str) -> dict[str, bytes]:
    """Keys of a file by kind: public, and secret where there is one."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES).decode("utf-8", errors="replace")
    except OSError as error:
        raise StreamError(f"{setting}: cannot read {path}: {error.strerror or error}") from error
    found = dict(re.findall(r'^\s*(public|secret)-key\s*=\s*"(.*)"\s*$', text, re.MULTILINE))
    keys = {kind: key.encode("utf-8") for kind, key in found.items()}
    try:
        if "public" not in keys:
            raise ValueError
        for key in keys.values():
            if len(key) != KEY_LENGTH:
                raise ValueError
            z85.decode(key)
        if "secret" in keys and zmq.curve_public(keys["secret"]) != keys["public"]:
            raise ValueError
    except (ValueError, KeyError, zmq.ZMQError) as error:
        raise StreamError(f"{setting}: {path} is no file of `piezo1 keys`, or a damaged one") from error
    return keys
