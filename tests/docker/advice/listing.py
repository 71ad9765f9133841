"""What a container's files are, by path, so that two containers' can be compared."""

import io
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any, Final

from lab.engine.docker.engine import DockerEngine
from lab.spec import LABEL

PROVIDED: Final = ("etc/", "dev/", "proc/", "sys/", ".dockerenv")
"""What an engine puts into every container."""
_SMALL: Final = 4096
"""Bytes: content is compared up to here."""

Listed = Mapping[str, tuple[Any, ...]]
"""Kind, mode, owner, group, size, target, device, attributes, content; of a file with several names
also the first of them and how many."""


def listed(exported: Iterable[bytes]) -> Listed:
    """Read what ``docker export`` sends."""
    data = io.BytesIO(b"".join(exported))
    found: dict[str, tuple[Any, ...]] = {}
    groups: dict[str, set[str]] = {}
    with tarfile.open(fileobj=data, errors="surrogateescape") as tar:
        for one in tar:
            if one.name.startswith(PROVIDED) or f"{one.name}/" in PROVIDED:
                continue
            if one.islnk():
                groups.setdefault(one.linkname, {one.linkname}).add(one.name)
                continue
            attributes = {key: said for key, said in one.pax_headers.items() if "xattr" in key}
            content = tar.extractfile(one) if one.isreg() else None
            found[one.name] = (
                *(one.type, one.mode, one.uid, one.gid, one.size, one.linkname),
                *(one.devmajor, one.devminor, sorted(attributes.items())),
                content.read() if content is not None and one.size < _SMALL else b"",
            )
    for first, names in groups.items():
        # Which of them comes first is the engine's choice.
        one_file = (*found[first], min(names), len(names))
        found.update(dict.fromkeys(names, one_file))
    return found


def of_image(engine: DockerEngine, ref: str) -> Listed:
    """The files of a container that was never started."""
    client = engine.client
    container = client.create_container(ref, command=["serve"], labels={LABEL: "true"})["Id"]
    try:
        return listed(client.export(container))
    finally:
        client.remove_container(container, force=True)
