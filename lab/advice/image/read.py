"""Read an image's contents from one stream of ``docker save``: nothing is unpacked, and memory
grows with the number of names, not with bytes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from lab.advice.contents import ContentLayer, Contents, Entry, EntryKind, Hidden
from lab.advice.image import metadata
from lab.advice.image.depends import depends
from lab.advice.image.layerfiles import Inode, LayerFiles, layer_files
from lab.advice.image.merged import InodeKey, MergedView, merged
from lab.advice.image.owners import Owners
from lab.engine.docker.engine import DockerEngine
from lab.images.layers.ballast import kind_of
from lab.images.layers.packages import Package
from lab.images.layers.stream import ImageStream, StreamLayer, read_stream, saving


def read_contents(
    engine: DockerEngine, ref: str, *, compressed: Sequence[int | None] = ()
) -> Contents:
    """Read an image of the engine's.

    ``compressed``: the compressed bytes of each layer as a registry has them, the lowest first.
    Where neither it nor the engine knows a layer's, the estimate stays as it is, 5 to 8 % above
    what gzip makes. Raises ``EngineError``.
    """
    image_id = engine.image(ref).image_id
    with saving(engine, ref) as chunks:
        return contents_of(chunks, image=ref, image_id=image_id, compressed=compressed)


def contents_of(
    chunks: Iterable[bytes], *, image: str, image_id: str, compressed: Sequence[int | None] = ()
) -> Contents:
    """The same of what ``docker save`` wrote."""
    stream = read_stream(chunks, layer_files)
    layers = [one.content or LayerFiles() for one in stream.layers]
    view = merged(layers)
    texts = _texts(view)
    owners = Owners(view=view, texts=texts).by_path
    shares = _shares(layers, _known_sizes(stream, compressed))
    return Contents(
        image=image,
        image_id=image_id,
        config=stream.config,
        layers=[
            _layer(number, stream.layers[number - 1], layers[number - 1], view, shares, known)
            for number, known in enumerate(_known_sizes(stream, compressed), 1)
        ],
        entries={f"/{path}": one for path, one in _entries(view, owners, shares)},
        depends=depends(texts, owners),
        texts={
            f"/{path}": text
            for path, text in sorted(texts.items())
            if metadata.TEXTS.fullmatch(path)
        },
    )


def _texts(view: MergedView) -> Mapping[str, str]:
    return {
        path: seen.name.inode.text.decode(errors="surrogateescape")
        for path, seen in view.seen.items()
        if seen.name.inode is not None and seen.name.inode.text is not None
    }


def _known_sizes(
    stream: ImageStream[LayerFiles], compressed: Sequence[int | None]
) -> Sequence[int | None]:
    said = compressed if len(compressed) == len(stream.layers) else [None] * len(stream.layers)
    return [
        one.compressed_bytes if size is None else size
        for size, one in zip(said, stream.layers, strict=True)
    ]


def _shares(layers: Sequence[LayerFiles], sizes: Sequence[int | None]) -> Mapping[InodeKey, int]:
    """Each file's compressed bytes: whole numbers that add up to the layer's where it is known."""
    found: dict[InodeKey, int] = {}
    for number, (layer, size) in enumerate(zip(layers, sizes, strict=True), 1):
        inodes = _inodes(layer)
        estimated = sum(one.estimate for one in inodes)
        factor = size / estimated if size is not None and estimated else 1.0
        so_far = 0.0
        for one in inodes:
            before = round(so_far * factor)
            so_far += one.estimate
            found[number, id(one)] = round(so_far * factor) - before
    return found


def _inodes(layer: LayerFiles) -> Sequence[Inode]:
    found = {id(one.inode): one.inode for one in layer.names.values() if one.inode is not None}
    return list(found.values())


def _layer(
    number: int,
    said: StreamLayer[LayerFiles],
    layer: LayerFiles,
    view: MergedView,
    shares: Mapping[InodeKey, int],
    known: int | None,
) -> ContentLayer:
    inodes = _inodes(layer)
    hidden = [
        Hidden(
            path=f"/{one.path}",
            size=one.inode.size,
            compressed=shares[number, id(one.inode)],
            by_layer=one.by_layer,
            removed=one.removed,
        )
        for one in view.covered[number]
    ]
    estimated = sum(shares[number, id(one)] for one in inodes)
    return ContentLayer(
        number=number,
        command=said.command,
        unpacked_bytes=sum(one.size for one in inodes),
        compressed_bytes=estimated if known is None else known,
        compressed_known=known is not None,
        hidden=sorted(hidden, key=lambda one: (-one.size, one.path)),
    )


def _entries(
    view: MergedView, owners: Mapping[str, Package], shares: Mapping[InodeKey, int]
) -> Iterator[tuple[str, Entry]]:
    first = {
        key: min(names, key=lambda name: kind_of(name) is not None)
        for key, names in view.names_by_inode().items()
    }
    """Of several names one that is no cache's: there the file is in use."""
    for path, seen in sorted(view.seen.items()):
        size = compressed = 0
        target = seen.name.target if seen.name.kind is EntryKind.LINK else ""
        if seen.inode is not None:
            key, inode = seen.inode
            if first[key] == path:
                size, compressed = inode.size, shares[key]
            else:
                target = f"/{first[key]}"
        yield (
            path,
            Entry(
                path=f"/{path}",
                kind=seen.name.kind,
                size=size,
                compressed=compressed,
                layer=seen.layer,
                mode=seen.name.mode,
                package=owners[path],
                target=target,
            ),
        )
