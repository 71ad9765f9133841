"""What is in an image: its largest packages and folders, by the files of its last state."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.engine.docker.tar import tar_of
from lab.spec import LABEL

_RULES: Final = (
    # (what a path looks like, what it is counted as); the first that fits counts.
    (r".*/(?:PIL|pillow\.libs|[Pp]illow-[^/]*)/.*", "python: pillow"),
    (r".*/(?:site|dist)-packages/([A-Za-z0-9]\w*)(?:\.libs|-\d[^/]*-info)?[./].*", r"python: \1"),
    (r"usr/lib/python3[.\d]*/prometheus_client/.*", "python: prometheus_client"),
    (r"usr/lib/python3[.\d]*/.*", "Python's standard library"),
    (r"usr/bin/python3[.\d]*", "Python's interpreter"),
    (r"opt/program/.*", "the app"),
    (r"root/\.cache/pip/.*", "pip's cache"),
    (r"var/(?:cache/apt|lib/apt)/.*", "apt's lists and archives"),
    (r"usr/(?:lib/gcc|libexec/gcc|include)/.*", "the C compiler and its headers"),
    (r"usr/share/(\w+)/.*", r"/usr/share/\1"),
    (r"usr/lib/(?:.*/)?(lib[\w+-]+)\.so[.\d]*", r"\1"),
)
_COMPILED: Final = [(re.compile(pattern), name) for pattern, name in _RULES]
_DEPTH: Final = 3


def contents(engine: DockerEngine, ref: str) -> Mapping[str, int]:
    """Bytes by what they belong to, the largest first. Exports the image: seconds for a large one.

    Files that a later layer replaced or removed are not in it. Raises ``ImageNotFoundError``.
    """
    engine.image(ref)
    counted: Counter[str] = Counter()
    with translated():
        made = engine.client.create_container(ref, command=["serve"], labels={LABEL: "true"})
        try:
            with tar_of(engine.client.export(made["Id"])) as archive:
                for member in archive:
                    if member.isfile() and member.size:
                        counted[belongs_to(member.name)] += member.size
        finally:
            engine.client.remove_container(made["Id"], v=True)
    return dict(counted.most_common())


def belongs_to(path: str) -> str:
    """What a file is counted as: a Python package, a cache, a library, else its folder."""
    for pattern, name in _COMPILED:
        found = pattern.fullmatch(path)
        if found:
            return found.expand(name)
    parts = path.split("/")[:-1][:_DEPTH]
    return "/" + "/".join(parts)
