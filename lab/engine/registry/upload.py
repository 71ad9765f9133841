"""Send the engine's images to a registry without the engine: twice as quickly.

An engine compresses each layer on one core, at some 25 MB/s, again for every repository that lacks
it. Here the images are saved together, so that a layer of several comes once; what the registry
lacks is compressed on all cores while it comes, and sent on at once: nothing is kept, neither in
memory nor on the disk. The configuration goes as the engine has it, so the image keeps its id, and
the compressed size is within a hundredth of what the engine would have sent.
"""

import tarfile
from collections import ChainMap, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

from docker.errors import create_api_error_from_http_exception
from docker.utils import version_gte
from requests.exceptions import HTTPError

from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.engine.registry.distribution import Distribution
from lab.engine.registry.manifests import LayerBlob, image_document
from lab.engine.registry.push import keeps_manifests
from lab.errors import EngineError
from lab.progress import Step
from lab.units import format_bytes

_BLOBS: Final = "blobs/sha256/"
_BLOBS_SINCE: Final = "1.44"
"""The API of Docker 25, which was the first to save every part under its digest."""
_BLOCK: Final = 1 << 20
_GZIP: Final = 31
"""The largest window, in gzip's own frame."""
_LEVEL: Final = 5
"""Of zlib-ng: from 0.2 to 1 % more bytes than an engine's gzip makes; level 4 made 2 to 3 %."""


def can_send(engine: DockerEngine) -> bool:
    """Whether this module can, or the engine has to push by itself.

    It has to where it keeps layers compressed, where it is older than Docker 25, and where the
    compressor is not installed: in the emulator's image, which seldom pushes.
    """
    return (
        find_spec("zlib_ng") is not None
        and version_gte(engine.client.api_version, _BLOBS_SINCE)
        and not keeps_manifests(engine)
    )


def send(
    engine: DockerEngine,
    registry: Distribution,
    images: Mapping[str, tuple[str, str]],
    step: Step,
) -> None:
    """Send images. ``images``: reference to repository (without host) and tag.

    The same layer gives the same bytes every time. Raises ``ImageNotFoundError``,
    ``DiskFullError``, ``RegistryError`` and what else the engine says; an interrupt leaves nothing
    behind but whole layers in the registry, which the next push finds there.
    """
    with translated():
        wanted = [_image(engine, ref, *place) for ref, place in images.items()]
        sent = _known(registry, {diff_id for image in wanted for diff_id in image.diff_ids})
        configs = _send_layers(engine, registry, wanted, sent, step)
    for image in wanted:
        _name(registry, image, sent, configs)


@dataclass(frozen=True, kw_only=True)
class _Image:
    """An image as the engine has it, and where it is to be."""

    ref: str
    image_id: str
    diff_ids: Sequence[str]
    """The digests of its layers as they are before they are compressed."""
    steps: Mapping[tuple[Any, ...], int]
    """The bytes of each step it was made in. Images that share a layer share the step."""
    repository: str
    tag: str


@dataclass(frozen=True, kw_only=True)
class _Sent:
    """A layer in the registry."""

    repository: str
    blob: LayerBlob


def _image(engine: DockerEngine, ref: str, repository: str, tag: str) -> _Image:
    seen = engine.client.inspect_image(ref)
    return _Image(
        ref=ref,
        image_id=seen["Id"],
        diff_ids=tuple(seen["RootFS"].get("Layers") or ()),
        steps={
            (one["Created"], one["CreatedBy"], one["Size"]): one["Size"]
            for one in engine.client.history(seen["Id"])
        },
        repository=repository,
        tag=tag,
    )


def _known(registry: Distribution, diff_ids: set[str]) -> dict[str, _Sent]:
    """Those of the layers that the registry holds, in whichever image."""
    return {
        diff_id: _Sent(repository=repository, blob=blob)
        for repository in registry.repositories()
        for diff_id, blob in registry.layers(repository).items()
        if diff_id in diff_ids and registry.has_blob(repository, blob.digest)
    }


def _send_layers(
    engine: DockerEngine,
    registry: Distribution,
    wanted: Sequence[_Image],
    sent: dict[str, _Sent],
    step: Step,
) -> Mapping[str, bytes]:
    """Send what is not in ``sent``, and note it there. Returns the images' configurations."""
    places = {diff_id: image.repository for image in wanted for diff_id in image.diff_ids}
    ids = {image.image_id for image in wanted}
    done = _Done(step, sum(ChainMap(*(dict(image.steps) for image in wanted)).values()))
    configs = {}
    step.detail("the engine writes its layers out")
    with _saved(engine, sorted(ids)) as tar:
        for member in tar:
            digest = "sha256:" + member.name.removeprefix(_BLOBS)
            if digest in ids:
                configs[digest] = b"".join(_blocks(tar, member))
            elif digest in places and digest not in sent:
                content = _compressed(done.counted(_blocks(tar, member)), member.size)
                # Closed also when the registry stops listening, for it ends the threads.
                with closing(content):
                    sent[digest] = _Sent(
                        repository=places[digest], blob=registry.upload(places[digest], content)
                    )
            elif digest in places:
                done.add(member.size)
    return configs


def _name(
    registry: Distribution, image: _Image, sent: Mapping[str, _Sent], configs: Mapping[str, bytes]
) -> None:
    """Put the configuration and the manifest of an image whose layers are in the registry."""
    config = configs.get(image.image_id)
    if config is None or not sent.keys() >= set(image.diff_ids):
        raise EngineError(
            f"The engine saved {image.ref} without all of its parts.",
            remedy="Build or pull the image again.",
        )
    layers = [sent[diff_id] for diff_id in image.diff_ids]
    for layer in layers:
        if layer.repository != image.repository:
            registry.mount(image.repository, layer.blob.digest, layer.repository)
    blob = registry.upload(image.repository, [config])
    document = image_document(blob.digest, blob.compressed_bytes, [layer.blob for layer in layers])
    registry.put_image(image.repository, image.tag, document)


@contextmanager
def _saved(engine: DockerEngine, ids: Sequence[str]) -> Iterator[tarfile.TarFile]:
    """What the engine saves of some images, as it comes."""
    client = engine.client
    url = f"{client.base_url}/v{client.api_version}/images/get"
    # The SDK saves one image a call. No limit of time: all is written out before the first byte.
    with client.get(url, params={"names": ids}, stream=True) as answer:
        try:
            answer.raise_for_status()
        except HTTPError as error:
            create_api_error_from_http_exception(error)
        try:
            with tarfile.open(fileobj=answer.raw, mode="r|", bufsize=_BLOCK) as tar:
                yield tar
        except tarfile.TarError as error:
            raise EngineError(
                f"The engine broke off while it saved images: {error}.",
                remedy="See `lab engine status`, then run it again.",
            ) from error


def _blocks(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    file = tar.extractfile(member)
    if file is not None:
        yield from iter(lambda: file.read(_BLOCK), b"")


def _compressed(blocks: Iterator[bytes], size: int) -> Generator[bytes, None, None]:
    """One gzip member, made on all cores; its bytes do not depend on how many there are."""
    from zlib_ng import gzip_ng_threaded, zlib_ng

    if size <= _BLOCK:  # not worth the threads, whose end takes a twentieth of a second
        yield zlib_ng.compress(b"".join(blocks), _LEVEL, wbits=_GZIP)
        return
    open_gzip: Any = gzip_ng_threaded.open
    out = _Out()
    with open_gzip(out, "wb", _LEVEL, threads=-1, block_size=_BLOCK) as gzip:
        for block in blocks:
            gzip.write(block)
            yield from out.taken()
    yield from out.taken()


class _Out:
    """A file to write to, whose content is taken away as it comes."""

    def __init__(self) -> None:
        self._written = deque[bytes]()

    def write(self, content: bytes) -> int:
        """Called by the compressor's threads."""
        self._written.append(content)
        return len(content)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self) -> Iterator[bytes]:
        while self._written:
            yield self._written.popleft()


class _Done:
    """How many bytes have come of all."""

    def __init__(self, step: Step, total: int) -> None:
        self._step = step
        self._done = 0
        self._total = total

    def add(self, count: int) -> None:
        self._done += count
        # A layer is a little more than its files.
        total = max(self._done, self._total)
        self._step.advance(self._done, total)
        self._step.detail(f"{format_bytes(self._done)} of {format_bytes(total)}, uncompressed")

    def counted(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self.add(len(block))
            yield block
