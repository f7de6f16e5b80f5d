"""The images of VNFs and servants: what they need, and building those that are missing or out of date.

In: the folders of `vnf_images/` (a Dockerfile and an `vnf.toml` each) and a Docker client. Out: tags, and the options to
create containers with. An image's tag holds the hash of its folder and of the base image's, so an image that exists is up to
date. Must not create containers, nor name any registry or mirror: the root image is Docker Hub's where that answers, and one
that `debootstrap` makes from its own default archive where not.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import tomllib
from docker.errors import APIError, DockerException, ImageNotFound
from requests.exceptions import RequestException

from testbed.lab.dockerd import STATE_FOLDER, DockerUnavailable, ensure_docker, locked
from testbed.lab.record import LabRecord

IMAGES_FOLDER = Path(__file__).resolve().parents[2] / "vnf_images"
REPOSITORY = "sfc-lab"
BASE = "base"
SUITE = "bookworm"
HUB_IMAGE = f"debian:{SUITE}-slim"
IMPORTED_IMAGE = f"{REPOSITORY}/debian:{SUITE}"
HUB_PATIENCE_S = 4.0
LABEL = "sfc-lab.image"
PROXY_VARIABLES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")


class ImageProblem(RuntimeError):
    """An image's folder is malformed or it did not build; the message names the image and the reason."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What of the traffic an inline function sees in user space, and what becomes of it where the function fails."""

    ports: tuple[int, ...]  # of TCP servers; none: nothing is brought to user space by the shared runtime
    fail: str  # "closed" (nothing passes unseen) or "open" (everything passes)


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one container carried when it was measured with `cpus` of CPU time."""

    packets_pps: float
    connections_cps: float
    cpus: float


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """What the lab must pass when it creates a container of an image, as its `vnf.toml` says."""

    name: str
    tag: str
    folder: Path
    kind: (
        str  # "inline" (two data ports, bridged), "servant" (one, with addresses) or "base" (none; not run by the lab)
    )
    summary: str
    data_ports: tuple[str, ...]  # interface names in the container, in the order of the switch's ports
    required_environment: tuple[str, ...]
    devices: tuple[str, ...]  # of the host, handed into the container under the same path
    traffic: Traffic | None  # of inline functions
    capacity: Capacity | None  # of inline functions, where it was measured
    environment: Mapping[str, str]
    user: str
    capabilities: tuple[str, ...]
    read_only: bool
    tmpfs: Mapping[str, str]
    sysctls: Mapping[str, str]
    memory_mib: int
    cpus: float
    pids: int

    def run_options(
        self, environment: Mapping[str, str] | None = None, *, memory_mib: int | None = None, cpus: float | None = None
    ) -> dict[str, Any]:
        """Keyword arguments for docker's `containers.create(spec.tag, **options)`; the caller adds name, volumes and labels.

        Raises ImageProblem when a variable that the image requires is missing.
        """
        merged = {**self.environment, **(environment or {})}
        missing = [name for name in self.required_environment if not merged.get(name)]
        if missing:
            raise ImageProblem(f"image {self.name}: needs the environment variables {', '.join(missing)}")
        return {
            "network_mode": "none",
            "user": self.user,
            "cap_drop": ["ALL"],
            "cap_add": list(self.capabilities),
            "security_opt": ["no-new-privileges:true"],
            "read_only": self.read_only,
            "tmpfs": dict(self.tmpfs),
            "sysctls": {key: value for key, value in self.sysctls.items() if _kernel_speaks(key)},
            "mem_limit": f"{memory_mib or self.memory_mib}m",
            "nano_cpus": round((cpus or self.cpus) * 1e9),
            "pids_limit": self.pids,
            "devices": [f"{device}:{device}:rwm" for device in self.devices],
            "environment": merged,
            "stop_signal": "SIGTERM",
        }


def image_names() -> tuple[str, ...]:
    """The images that can be built, base first."""
    names = sorted(path.parent.name for path in IMAGES_FOLDER.glob("*/Dockerfile"))
    return tuple(sorted(names, key=lambda name: name != BASE))


def image_spec(name: str) -> ImageSpec:
    """What the image `name` needs to run. Raises ImageProblem."""
    folder = _folder(name)
    path = folder / "vnf.toml"
    try:
        table = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ImageProblem(f"image {name}: {path} is missing") from None
    except tomllib.TOMLDecodeError as error:
        raise ImageProblem(f"image {name}: {path}: {error}") from None
    return parse_spec(name, table)


def parse_spec(name: str, table: Mapping[str, Any]) -> ImageSpec:
    """The spec that `table` (an `vnf.toml`) describes; unknown and missing members and wrong types are refused."""
    values: dict[str, Any] = {}
    for key in table:
        if key not in {*_MEMBERS[""], *_MEMBERS, *_FREE_SECTIONS, *_INLINE_SECTIONS, "devices"} - {""}:
            raise ImageProblem(f"image {name}: vnf.toml: unknown member {key}")
    for section, members in _MEMBERS.items():
        given = _table(name, section, table.get(section, {})) if section else table
        values |= _members(name, section, members, given)
    values["devices"] = _texts(name, "devices", table.get("devices", []))
    values |= _inline_sections(name, values["kind"], table)
    for section in _FREE_SECTIONS:
        values[section] = _strings_by_name(name, section, table.get(section, {}))
    if _PORTS.get(values["kind"]) != len(values["data_ports"]):
        raise ImageProblem(
            f"image {name}: vnf.toml: kind {values['kind']!r} with {len(values['data_ports'])} data_ports; "
            f"expected one of {', '.join(f'{kind} with {count}' for kind, count in _PORTS.items())}"
        )
    return ImageSpec(name=name, tag=image_tag(name), folder=_folder(name), **values)


def _members(
    name: str, section: str, members: Mapping[str, Callable[[str, str, object], object]], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of a section, all of which must be there; the unnamed section may have others (the sections)."""
    for key in given.keys() - members.keys() if section else ():
        raise ImageProblem(f"image {name}: vnf.toml: unknown member {section}.{key}")
    values = {}
    for key, read in members.items():
        path = f"{section}.{key}".lstrip(".")
        if key not in given:
            raise ImageProblem(f"image {name}: vnf.toml: {path} is missing")
        values[key] = read(name, path, given[key])
    return values


def _inline_sections(name: str, kind: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """The sections that only inline functions have; they say what they see, and how much where that was measured."""
    values: dict[str, Any] = dict.fromkeys(_INLINE_SECTIONS)
    for section, (make, members) in _INLINE_SECTIONS.items():
        if section not in table:
            continue
        if kind != "inline":
            raise ImageProblem(f"image {name}: vnf.toml: {section} is for kind 'inline'")
        values[section] = make(**_members(name, section, members, _table(name, section, table[section])))
    if kind == "inline" and values["traffic"] is None:
        raise ImageProblem(f"image {name}: vnf.toml: traffic is missing")
    return values


def image_tag(name: str) -> str:
    """The tag that an up-to-date image has: it holds the hash of what it is made from."""
    digest = hashlib.sha256()
    for part in dict.fromkeys((BASE, name)):
        folder = _folder(part)
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            content = path.read_bytes()
            digest.update(f"{part}/{path.relative_to(folder)} {path.stat().st_mode & 0o111} {len(content)}\n".encode())
            digest.update(content)
    return f"{REPOSITORY}/{name}:{digest.hexdigest()[:12]}"


def ensure_image(client: docker.DockerClient, name: str) -> str:
    """The tag of the up-to-date image `name`, built now if it has to be; prints what is done. Raises ImageProblem."""
    tag = image_tag(name)
    if _present(client, tag):
        return tag
    with locked("images"):
        if _present(client, tag):
            return tag
        root = _ensure_root(client) if name == BASE else None
        if root is None and not _present(client, image_tag(BASE)):
            _build(client, BASE, _ensure_root(client))
        _build(client, name, root or image_tag(BASE))
    return tag


def ensure_images(client: docker.DockerClient, names: Sequence[str] | None = None) -> dict[str, str]:
    """The tags of the named images, or of all, by name."""
    return {name: ensure_image(client, name) for name in (image_names() if names is None else names)}


def _ensure_root(client: docker.DockerClient) -> str:
    """The tag of a bare Debian, had from Docker Hub or made here."""
    for tag in (HUB_IMAGE, IMPORTED_IMAGE):
        if _present(client, tag):
            _say(f"root image: {tag}, already here")
            return tag
    if _pulled(client):
        _say(f"root image: {HUB_IMAGE} from Docker Hub")
        return HUB_IMAGE
    _debootstrap(client)
    _say(f"root image: {IMPORTED_IMAGE}, made by debootstrap")
    return IMPORTED_IMAGE


def _pulled(client: docker.DockerClient) -> bool:
    repository, _, version = HUB_IMAGE.partition(":")
    impatient = docker.from_env(timeout=HUB_PATIENCE_S)  # the limit holds between two lines of progress
    started = time.monotonic()
    try:
        for line in impatient.api.pull(repository, tag=version, stream=True, decode=True):
            if "error" in line:
                raise DockerException(line["error"])
    except (DockerException, RequestException, OSError) as error:
        _say(f"Docker Hub is out of reach ({time.monotonic() - started:.1f} s: {_first_line(error)})")
        return False
    return _present(client, HUB_IMAGE)


def _debootstrap(client: docker.DockerClient) -> None:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    program = shutil.which("debootstrap", path=path)
    if program is None:
        raise ImageProblem("no root image: Docker Hub is out of reach and debootstrap is not installed")
    STATE_FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="root-", dir=STATE_FOLDER) as folder:
        _say(f"debootstrap of {SUITE} (40 s on a free machine)")
        started = time.monotonic()
        _follow_debootstrap([program, "--variant=minbase", SUITE, folder], {**os.environ, "PATH": path})
        tar = [
            "tar",
            "--create",
            f"--directory={folder}",
            "--exclude=./var/cache/apt/*",
            "--exclude=./var/lib/apt/lists/*",
        ]
        tar += ["--exclude=./proc/*", "--exclude=./sys/*", "--exclude=./dev/*", "."]
        with subprocess.Popen(tar, stdout=subprocess.PIPE) as packing:
            repository, _, version = IMPORTED_IMAGE.partition(":")
            client.api.import_image_from_stream(
                packing.stdout, repository=repository, tag=version, changes=["CMD /bin/sh"]
            )
        if packing.returncode != 0 or not _present(client, IMPORTED_IMAGE):
            raise ImageProblem(
                f"no root image: docker import did not make {IMPORTED_IMAGE} (tar ended with {packing.returncode})"
            )
        _say(f"debootstrap and import took {time.monotonic() - started:.0f} s")


def _follow_debootstrap(command: list[str], environment: Mapping[str, str]) -> None:
    last: list[str] = []
    told = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last = [*last[-9:], line.rstrip()]
            if time.monotonic() - told > 3:
                told = time.monotonic()
                _say(f"  {last[-1].removeprefix('I: ')}")
    if process.returncode != 0:
        raise ImageProblem("no root image: debootstrap ended with " + f"{process.returncode}:\n" + "\n".join(last))


def _build(client: docker.DockerClient, name: str, root: str) -> None:
    tag = image_tag(name)
    _say(f"building {tag} from {root}")
    started = told = time.monotonic()
    last: list[str] = []
    arguments = {"BASE": root, **{k: v for p in PROXY_VARIABLES for k in (p, p.upper()) if (v := os.environ.get(k))}}
    lines = client.api.build(
        path=str(_folder(name)),
        tag=tag,
        rm=True,
        forcerm=True,
        decode=True,
        network_mode="host",
        buildargs=arguments,
        labels={LABEL: name},
    )
    for line in lines:
        text = str(line.get("stream") or line.get("error") or "").strip()
        last = [*last[-14:], text] if text else last
        if "error" in line:
            raise ImageProblem(f"image {name}: the build failed:\n" + "\n".join(last))
        if text and (text.startswith("Step ") or time.monotonic() - told > 3):
            told = time.monotonic()
            _say(f"  {text.splitlines()[-1][:100]}")
    size = client.images.get(tag).attrs["Size"]
    _say(f"built {tag} in {time.monotonic() - started:.0f} s, {size / 1e6:.0f} MB")
    _remove_older(client, name, tag)


def _remove_older(client: docker.DockerClient, name: str, tag: str) -> None:
    for image in client.images.list(f"{REPOSITORY}/{name}"):
        for older in image.tags:
            if older != tag and older.startswith(f"{REPOSITORY}/{name}:"):
                try:
                    client.images.remove(older)
                except APIError as error:  # a container or a child image still uses it
                    _say(f"{older} stays: {_first_line(error)}")


def _present(client: docker.DockerClient, tag: str) -> bool:
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def _folder(name: str) -> Path:
    folder = IMAGES_FOLDER / name
    if not (folder / "Dockerfile").is_file():
        raise ImageProblem(f"image {name}: unknown; expected one of {', '.join(image_names())}")
    return folder


def _kernel_speaks(sysctl: str) -> bool:
    """False for IPv6 settings on a kernel without IPv6: Docker refuses to start a container with a setting that is not there."""
    return not sysctl.startswith("net.ipv6.") or Path("/proc/sys/net/ipv6").is_dir()


def _text(name: str, path: str, value: object) -> str:
    if not isinstance(value, str):
        raise ImageProblem(f"image {name}: vnf.toml: {path} is {value!r}; expected a string")
    return value


def _texts(name: str, path: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ImageProblem(f"image {name}: vnf.toml: {path} is {value!r}; expected a list of strings")
    return tuple(_text(name, f"{path}[{index}]", item) for index, item in enumerate(value))


def _truth(name: str, path: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ImageProblem(f"image {name}: vnf.toml: {path} is {value!r}; expected true or false")
    return value


def _positive(name: str, path: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ImageProblem(f"image {name}: vnf.toml: {path} is {value!r}; expected a number above 0")
    return float(value)


def _count(name: str, path: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ImageProblem(f"image {name}: vnf.toml: {path} is {value!r}; expected a whole number above 0")
    return value


def _tcp_ports(name: str, path: str, value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(port) is int and 0 < port < 65536 for port in value):
        raise ImageProblem(f"image {name}: vnf.toml: {path} is {value!r}; expected a list of TCP ports")
    return tuple(value)


def _fail_policy(name: str, path: str, value: object) -> str:
    if value not in ("closed", "open"):
        raise ImageProblem(f"image {name}: vnf.toml: {path} is {value!r}; expected 'closed' or 'open'")
    return str(value)


def _table(name: str, path: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ImageProblem(f"image {name}: vnf.toml: {path} is {value!r}; expected a table")
    return value


def _strings_by_name(name: str, path: str, value: object) -> dict[str, str]:
    return {key: _text(name, f"{path}.{key}", item) for key, item in _table(name, path, value).items()}


def _first_line(error: object) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]


def _say(text: str) -> None:
    print(f"images: {text}", file=sys.stderr, flush=True)


_PORTS = {"base": 0, "servant": 1, "inline": 2}
_MEMBERS: dict[str, dict[str, Callable[[str, str, object], object]]] = {
    "": {"kind": _text, "summary": _text, "data_ports": _texts, "required_environment": _texts},
    "privileges": {"user": _text, "capabilities": _texts, "read_only": _truth},
    "limits": {"memory_mib": _count, "cpus": _positive, "pids": _count},
}
_INLINE_SECTIONS: dict[str, tuple[Callable[..., object], dict[str, Callable[[str, str, object], object]]]] = {
    "traffic": (Traffic, {"ports": _tcp_ports, "fail": _fail_policy}),
    "capacity": (Capacity, {"packets_pps": _positive, "connections_cps": _positive, "cpus": _positive}),
}
_FREE_SECTIONS = ("environment", "sysctls", "tmpfs")


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the named images (all by default), or list them; the tags go to standard output."""
    parser = argparse.ArgumentParser(prog="python -m testbed.lab.images", description=main.__doc__)
    parser.add_argument("--list", action="store_true", help="print every image, its tag and what it is; build nothing")
    parser.add_argument("name", nargs="*", help="an image's folder in vnf_images/")
    given = parser.parse_args(arguments)
    record = LabRecord("images")
    try:
        names = given.name or image_names()
        if given.list:
            for spec in map(image_spec, names):
                print(f"{spec.name}\t{spec.tag}\t{spec.kind}\t{spec.summary}")
            return 0
        for tag in ensure_images(ensure_docker(record), names).values():
            print(tag)
    except (ImageProblem, DockerUnavailable) as problem:
        print(problem, file=sys.stderr)
        return 1
    finally:
        record.undo()
    return 0


if __name__ == "__main__":
    sys.exit(main())
