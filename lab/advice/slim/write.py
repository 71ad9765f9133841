"""The new image: one layer and the original's configuration, made on disk and loaded.

A container is made of the original, its files are exported and parted (``split``) while they come;
memory holds no more than a piece. Until an image is proven it has a name of the lab's alone, which
``close`` takes away; what a killed command left is removed by the next.
"""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final, Self

from lab.advice.contents import Contents
from lab.advice.slim.select import Level, Selection
from lab.advice.slim.split import (
    Content,
    Layer,
    Parting,
    header,
    hidden_by_engine,
    padding,
    path_of,
    pieces,
)
from lab.engine.api import ContainerSpec
from lab.engine.docker.client import parse_time
from lab.engine.docker.container import DockerContainer
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import FREE_SPACE, translated
from lab.engine.docker.owned import is_dead, of_this_process
from lab.engine.docker.tar import tar_of
from lab.engine.interrupt import uninterrupted
from lab.errors import DiskFullError, EngineError, ImageNotFoundError
from lab.images.layers.stream import path_in_layer, read_stream, saving
from lab.images.names import SLIMMING
from lab.progress import Progress
from lab.runfiles import room
from lab.spec import LABEL_OWNER, LABEL_PROCESS, LABEL_ROLE
from lab.units import format_bytes

ROLE: Final = "slim"
MADE_BY: Final = "lab images slim"
"""How the one step of such an image's history begins: by that it is known."""

_KEPT: Final = "layer.tar"
REMOVED_TAR: Final = "removed.tar"
_SPARE_BYTES: Final = 256 * 1024 * 1024
_HEADERS: Final = 1024
"""Bytes that a member takes in a tar beside its content, about."""


class Workshop:
    """Where candidates are made; as a context manager it leaves neither images nor files."""

    def __init__(self, engine: DockerEngine, contents: Contents, folder: Path, owner: str) -> None:
        """``folder`` must be there; ``owner`` is the label of every container."""
        self.engine = engine
        self._contents = contents
        self._folder = folder
        self._owner = owner
        mark = of_this_process().get(LABEL_PROCESS, owner)
        self._tag = mark.replace("/", "_")
        self._names = (f"{SLIMMING}:{self._tag}", f"{SLIMMING}:{self._tag}.tried")
        self._container: DockerContainer | None = None
        self.stripped: Mapping[str, int] = {}
        """What files of the last candidate lost, in bytes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with uninterrupted():
            if self._container is not None:
                with suppress(EngineError):
                    self._container.remove()
            for name in self._names:
                forget(self.engine, name)

    @property
    def removed(self) -> Path:
        """The tar of what the last candidate lacks, with the whole of what is stripped."""
        return self._folder / REMOVED_TAR

    def container(self) -> DockerContainer:
        """A container of the original that is never started: what exports and single files are
        read from.
        """
        if self._container is None:
            self._container = self.engine.create(self._spec(self._contents.image_id))
        return self._container

    def head(self, path: str) -> bytes:
        """How a file of the original begins; nothing of one that cannot be read."""
        with suppress(EngineError):
            return self.container().head(path)
        return b""

    def make(self, selection: Selection, progress: Progress) -> str:
        """Make the candidate and load it; the engine's id of it.

        The same selection of the same image gives the same image. Raises ``DiskFullError`` before
        anything is written, and ``EngineError``.
        """
        self._ask_for_room(selection)
        source = self.container()
        with (
            progress.step("Make the smaller image") as step,
            room(self._folder, remedy=FREE_SPACE),
            (self._folder / _KEPT).open("wb") as kept_file,
            self.removed.open("wb") as removed_file,
        ):
            step.detail("the engine writes its files out")
            kept, removed = Layer(kept_file), Layer(removed_file)
            parting = Parting(
                entries=self._contents.entries,
                kept=selection.kept,
                placed=self._placed,
                stamp=self._stamp(),
                fetch=self._fetch,
                strippable=selection.strippable,
                spool=self._folder,
            )
            try:
                with (
                    translated(),
                    tar_of(self.engine.client.export(source.id, chunk_size=1 << 20)) as exported,
                ):
                    parting.run(exported, kept, removed)
            except tarfile.TarError as error:
                raise EngineError(
                    f"What the engine exported of the image cannot be read: {error}."
                ) from error
        self.stripped = parting.stripped
        with progress.step("Load the smaller image"):
            self._load(kept.diff_id, selection.level)
        (self._folder / _KEPT).unlink()
        return self.engine.image(self._names[0]).image_id

    @contextmanager
    def with_files(self, image: str, paths: Collection[str]) -> Iterator[str]:
        """An image like ``image`` that has these of the removed files too, for the block; of what
        was stripped the whole.
        """
        name = self._names[1]
        made = self.engine.create(self._spec(image))
        try:
            with translated():
                self.engine.client.put_archive(made.id, "/", _part_of(self.removed, paths))
            with translated(), uninterrupted():
                repository, tag = repository_and_tag(name)
                self.engine.client.commit(made.id, repository=repository, tag=tag)
            made.remove()
            yield name
        finally:
            with uninterrupted():
                with suppress(EngineError):
                    made.remove()
                forget(self.engine, name)

    def give_name(self, name: str) -> None:
        """The candidate is proven: it gets the user's name, and loses the lab's."""
        repository, tag = repository_and_tag(name)
        with translated(), uninterrupted():
            self.engine.client.tag(self._names[0], repository, tag=tag, force=True)
            self.engine.client.remove_image(self._names[0], noprune=True)

    def _spec(self, image: str) -> ContainerSpec:
        return ContainerSpec(
            image=image,
            labels={LABEL_ROLE: ROLE, LABEL_OWNER: self._owner, **of_this_process()},
            read_only_root=False,
        )

    def _ask_for_room(self, selection: Selection) -> None:
        """Both halves lie here, of what is stripped also the whole, one of them twice; the engine
        unpacks what it loads, and then makes a layer of it.
        """
        count = len(selection.contents.entries)
        sizes = [selection.contents.entries[path].size for path in selection.strippable]
        whole = selection.contents.unpacked_bytes + count * _HEADERS
        whole += sum(sizes) + max(sizes, default=0)
        kept = selection.kept_bytes + count * _HEADERS
        free = shutil.disk_usage(self._folder).free
        engines = self.container().disk_free()
        needs = [(whole + _SPARE_BYTES, free, f"the folder {self._folder}")]
        if engines is not None:
            needs.append((2 * kept + _SPARE_BYTES, engines, "the engine"))
        for wanted, there, where in needs:
            if wanted > there:
                raise DiskFullError(
                    f"To make the smaller image {where} needs {format_bytes(wanted)}, and "
                    f"{format_bytes(there)} are free.",
                    remedy=FREE_SPACE,
                )

    def _stamp(self) -> int:
        made = parse_time(str(self._contents.config.get("created") or ""))
        return 0 if made is None else max(0, made) // 1_000_000_000

    @cached_property
    def _placed(self) -> Mapping[str, tuple[tarfile.TarInfo, bytes]]:
        """What the image has where an export shows what the engine put there; the same for every
        candidate, and all of the image streams by for it.
        """
        wanted = hidden_by_engine(self._contents.entries)
        if not wanted:
            return {}
        found: dict[str, tuple[tarfile.TarInfo, bytes]] = {}
        with saving(self.engine, self._contents.image_id) as chunks:
            image = read_stream(chunks, lambda layer: _picked(layer, wanted))
        for layer in image.layers:
            found |= layer.content or {}
        return found

    @contextmanager
    def _fetch(self, path: str) -> Iterator[Content]:
        with ExitStack() as stack:
            stack.enter_context(translated())
            stream, _ = self.engine.client.get_archive(self.container().id, path)
            if hasattr(stream, "close"):
                stack.enter_context(closing(stream))
            packed = stack.enter_context(tar_of(stream))
            member = packed.next()
            if member is None:
                raise EngineError(f"The engine does not give {path} of the image.")
            yield member, packed.extractfile(member) if member.isreg() else None

    def _load(self, diff_id: str, level: Level) -> None:
        forget(self.engine, self._names[0])
        config = _config(self._contents, diff_id, level)
        with ExitStack() as until_loaded, translated():
            blob = self._folder / _KEPT
            said = ""
            for line in (
                self.engine.client.load_image(
                    _archive(blob, diff_id, config, self._names[0], until_loaded)
                )
                or ()
            ):
                said = str(line.get("error") or said)
            if said:
                raise EngineError(f"The engine does not load the smaller image: {said}")


def repository_and_tag(name: str) -> tuple[str, str]:
    """An image's name in two; without a tag it is ``latest``."""
    repository, _, tag = name.rpartition(":")
    return (repository, tag) if repository and "/" not in tag else (name, "latest")


def made_by_slim(engine: DockerEngine, ref: str) -> bool:
    """Whether an image is one that this command made. Raises ``ImageNotFoundError``."""
    engine.image(ref)
    with translated():
        steps = engine.client.history(ref)
    return len(steps) == 1 and str(steps[0].get("CreatedBy") or "").startswith(MADE_BY)


def forget(engine: DockerEngine, name: str) -> None:
    """Take a name of the lab's away, and with it the image if it has no other."""
    with suppress(ImageNotFoundError, EngineError), translated():
        engine.client.remove_image(name, force=True, noprune=True)


def sweep_images(engine: DockerEngine) -> int:
    """Forget what commands left that were killed; how many images."""
    count = 0
    with translated():
        found = engine.client.images(name=SLIMMING)
    for name in [name for one in found for name in one.get("RepoTags") or ()]:
        mark = name.rpartition(":")[2].removesuffix(".tried").replace("_", "/")
        if is_dead(mark, local=engine.local):
            forget(engine, name)
            count += 1
    return count


def _picked(
    layer: IO[bytes], wanted: Collection[str]
) -> Mapping[str, tuple[tarfile.TarInfo, bytes]]:
    found = {}
    with tarfile.open(fileobj=layer, mode="r|*") as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]
            path = f"/{path_in_layer(member.name)}"
            if path in wanted:
                content = archive.extractfile(member) if member.isreg() else None
                found[path] = member, b"" if content is None else content.read()
    return found


def _config(contents: Contents, diff_id: str, level: Level) -> bytes:
    """The original's configuration with one layer and one step."""
    kept = {name: value for name, value in contents.config.items() if name != "history"}
    step = {"created_by": f"{MADE_BY} --level {level} {contents.image_id}"}
    if "created" in kept:
        step["created"] = str(kept["created"])
    whole: dict[str, Any] = {
        **kept,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [step],
    }
    return json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()


def _archive(
    blob: Path, diff_id: str, config: bytes, name: str, until_loaded: ExitStack
) -> Iterator[bytes]:
    """What ``docker load`` reads. Once all is sent the engine cannot be stopped any more, so that
    Ctrl-C waits until its answer is there.
    """
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    layer_name = f"{diff_id.removeprefix('sha256:')}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [layer_name]}]
    size = blob.stat().st_size
    yield _named(layer_name, size)
    with blob.open("rb") as file:
        yield from pieces(file)
    yield padding(size)
    for document, content in (
        (config_name, config),
        ("manifest.json", json.dumps(manifest).encode()),
    ):
        yield _named(document, len(content)) + content + padding(len(content))
    until_loaded.enter_context(uninterrupted())
    yield bytes(1024)


def _named(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return header(member)


def _part_of(archive: Path, paths: Collection[str]) -> Iterator[bytes]:
    """Those members of a tar, with their folders, as a tar."""
    with tarfile.open(archive, "r:") as packed:
        # A further name of a file cannot come without its first.
        first = {path_of(one.name): path_of(one.linkname) for one in packed if one.islnk()}
        paths = {*paths, *(first[path] for path in paths if path in first)}
        folders = {path[:at] for path in paths for at, sign in enumerate(path) if sign == "/"}
        for member in packed:
            path = path_of(member.name)
            if path not in paths and not (member.isdir() and path in folders):
                continue
            yield header(member)
            content = packed.extractfile(member) if member.isreg() else None
            if content is not None:
                yield from pieces(content)
                yield padding(member.size)
    yield bytes(1024)
