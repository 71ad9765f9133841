"""What a container of an image sees: layers laid on each other, and what lies hidden below."""

import io
import tarfile
import tracemalloc
from collections.abc import Iterator, Sequence

import pytest

from lab.advice.contents import Contents, EntryKind, Hidden
from lab.advice.image.read import contents_of
from lab.errors import EngineError
from tests.unit.images.layers.archives import (
    Files,
    device,
    folder,
    in_chunks,
    link,
    packed,
    saved,
)


def contents(
    *layers: Files, zipped: bool = False, older: bool = False, compressed: Sequence[int] = ()
) -> Contents:
    data = saved(layers, compressed=zipped, older=older)
    return contents_of(
        in_chunks(data, 65536), image="x:1", image_id="sha256:1", compressed=compressed
    )


def sizes(found: Contents) -> dict[str, int]:
    return {path: one.size for path, one in found.entries.items() if one.kind is EntryKind.FILE}


def hidden(found: Contents) -> list[list[tuple[str, int, int, bool]]]:
    return [
        [(one.path, one.size, one.by_layer, one.removed) for one in layer.hidden]
        for layer in found.layers
    ]


def test_each_name_is_told_with_its_kind_its_mode_and_the_layer_that_it_comes_from() -> None:
    found = contents(
        {"dev/null": device(), "srv/secret": folder(0o700), "srv/secret/key": b"1234"},
        {"usr/bin/sh": link("../lib/dash"), "srv/program.so": b"\x7fELF"},
    )
    assert [
        (one.path, one.kind, one.mode, one.size, one.layer, one.target)
        for one in found.entries.values()
    ] == [
        ("/dev", "folder", 0o755, 0, 1, ""),
        ("/dev/null", "other", 0o666, 0, 1, ""),
        ("/srv", "folder", 0o755, 0, 1, ""),
        ("/srv/program.so", "file", 0o755, 4, 2, ""),
        ("/srv/secret", "folder", 0o700, 0, 1, ""),
        ("/srv/secret/key", "file", 0o644, 4, 1, ""),
        ("/usr", "folder", 0o755, 0, 2, ""),
        ("/usr/bin", "folder", 0o755, 0, 2, ""),
        ("/usr/bin/sh", "link", 0o777, 0, 2, "../lib/dash"),
    ]
    assert (found.image, found.image_id, found.unpacked_bytes) == ("x:1", "sha256:1", 8)
    assert [one.command for one in found.layers] == ["COPY 0 /", "COPY 1 /"]


@pytest.mark.parametrize("older", [False, True])
def test_a_whiteout_takes_a_file_or_a_whole_folder_away_and_their_bytes_are_hidden(
    *, older: bool
) -> None:
    found = contents(
        {"a/x": bytes(10), "a/y": bytes(5), "b/c/d": bytes(3), "bc": bytes(1)},
        {"a/.wh.x": b"", ".wh.b": b""},
        older=older,
    )
    assert sizes(found) == {"/a/y": 5, "/bc": 1}
    assert "/b" not in found.entries
    assert hidden(found) == [[("/a/x", 10, 2, True), ("/b/c/d", 3, 2, True)], []]
    assert [(one.unpacked_bytes, one.hidden_bytes) for one in found.layers] == [(19, 13), (0, 0)]


def test_what_a_layer_takes_away_and_brings_anew_is_there_whichever_its_tar_has_first() -> None:
    lower: Files = {"a/old": bytes(2), "a/both": bytes(3)}
    for upper in (
        {"a/.wh..wh..opq": b"", "a/both": bytes(7)},
        {"a/both": bytes(7), "a/.wh..wh..opq": b""},
    ):
        found = contents(lower, upper)
        assert sizes(found) == {"/a/both": 7}
        assert hidden(found)[0] == [("/a/both", 3, 2, True), ("/a/old", 2, 2, True)]


def test_a_replaced_file_is_hidden_and_a_folder_that_becomes_a_file_or_a_link_is_whole() -> None:
    found = contents(
        {"f": bytes(9), "lib/a": bytes(4), "was/b": bytes(2), "kept/c": bytes(1)},
        {"f": bytes(8), "lib": link("usr/lib"), "was": b"x", "kept": folder(0o711)},
        {"f": bytes(7)},
    )
    assert sizes(found) == {"/f": 7, "/was": 1, "/kept/c": 1}
    assert found.entries["/lib"].kind is EntryKind.LINK
    assert (found.entries["/kept"].mode, found.entries["/kept"].layer) == (0o711, 2)
    assert hidden(found) == [
        [("/f", 9, 2, False), ("/lib/a", 4, 2, False), ("/was/b", 2, 2, False)],
        [("/f", 8, 3, False)],
        [],
    ]


def test_a_file_with_several_names_has_its_bytes_once_and_keeps_them_while_one_is_left() -> None:
    names: Files = {
        "a": bytes(6),
        "b": link("a", hard=True),
        "c": link("a", hard=True),
    }
    found = contents(names)
    assert sizes(found) == {"/a": 6, "/b": 0, "/c": 0}
    assert [found.entries[path].target for path in ("/a", "/b", "/c")] == ["", "/a", "/a"]
    assert found.layers[0].unpacked_bytes == 6
    less = contents(names, {".wh.a": b""})
    assert sizes(less) == {"/b": 6, "/c": 0}
    assert less.entries["/c"].target == "/b"
    assert hidden(less) == [[], []]
    none = contents(names, {".wh.a": b"", ".wh.b": b"", ".wh.c": b""})
    assert [(path, size) for path, size, _, _ in hidden(none)[0]] == [("/c", 6)]


def test_of_a_cache_s_name_and_one_in_use_the_one_in_use_has_the_bytes() -> None:
    found = contents(
        {"opt/conda/pkgs/a/x": bytes(5), "opt/conda/x": link("opt/conda/pkgs/a/x", hard=True)}
    )
    assert sizes(found) == {"/opt/conda/pkgs/a/x": 0, "/opt/conda/x": 5}


def test_a_hard_link_to_a_lower_layer_s_file_is_another_name_of_it() -> None:
    both = contents({"a": bytes(6)}, {"b": link("a", hard=True)})
    assert sizes(both) == {"/a": 6, "/b": 0}
    assert both.entries["/b"].target == "/a"
    assert [one.unpacked_bytes for one in both.layers] == [6, 0]


def test_a_name_that_is_no_utf_8_survives() -> None:
    name = b"srv/caf\xe9".decode(errors="surrogateescape")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as tar:
        member = tarfile.TarInfo(name)
        member.size = 3
        tar.addfile(member, io.BytesIO(b"abc"))
    whole = _with_layer(data.getvalue())
    found = contents_of(in_chunks(whole), image="x", image_id="y")
    assert sizes(found) == {f"/{name}": 3}
    assert (
        next(path for path in found.entries if "caf" in path).encode(errors="surrogateescape")
        == b"/srv/caf\xe9"
    )


def test_a_layer_that_occurs_twice_is_seen_once_and_hidden_once() -> None:
    layer: Files = {"a": bytes(4)}
    data = saved([layer, layer])
    found = contents_of(in_chunks(data), image="x", image_id="y")
    assert [(one.unpacked_bytes, one.hidden_bytes) for one in found.layers] == [(4, 4), (4, 0)]
    assert found.entries["/a"].layer == 2


def test_compressed_bytes_add_up_to_what_the_layer_has_where_somebody_knows_it() -> None:
    noise = bytes(range(256)) * 4
    layers: tuple[Files, ...] = (
        {"a": noise, "zero": bytes(3000), "gone": noise[::-1]},
        {"b": b"b" * 999, ".wh.gone": b""},
    )
    found = contents(*layers, compressed=[10_001, 77])
    assert [one.compressed_bytes for one in found.layers] == [10_001, 77]
    assert all(one.compressed_known for one in found.layers)
    seen = sum(one.compressed for one in found.entries.values() if one.layer == 1)
    assert seen + found.layers[0].hidden_compressed == 10_001
    assert found.entries["/b"].compressed == 77
    assert found.entries["/zero"].compressed < found.entries["/a"].compressed
    zipped = contents(*layers, zipped=True)
    assert all(one.compressed_known for one in zipped.layers)


def test_without_one_who_knows_the_estimates_stand_and_say_so() -> None:
    found = contents({"zero": bytes(5_000_000), "little": b"abc"})
    (layer,) = found.layers
    assert not layer.compressed_known
    assert layer.compressed_bytes == sum(one.compressed for one in found.entries.values())
    assert 0 < found.entries["/zero"].compressed < 50_000
    assert hidden(found) == [[]]


def test_an_archive_without_a_manifest_is_refused_in_words() -> None:
    with pytest.raises(EngineError, match="no manifest that can be read"):
        contents_of(in_chunks(packed({"x": b"{}"})), image="x", image_id="y")


def test_hidden_files_are_told_the_largest_first() -> None:
    found = contents({"a": bytes(1), "b": bytes(3)}, {".wh.a": b"", ".wh.b": b""})
    assert found.layers[0].hidden == [
        Hidden(
            path="/b",
            size=3,
            compressed=found.layers[0].hidden[0].compressed,
            by_layer=2,
            removed=True,
        ),
        Hidden(
            path="/a",
            size=1,
            compressed=found.layers[0].hidden[1].compressed,
            by_layer=2,
            removed=True,
        ),
    ]


def test_memory_does_not_grow_with_the_bytes_of_files() -> None:
    tracemalloc.start()
    try:
        found = contents_of(_large(200 << 20), image="x", image_id="y")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sizes(found) == {"/large": 200 << 20}
    assert peak < 24 << 20


def _large(size: int) -> Iterator[bytes]:
    """An image whose one layer has one file of zeros: made while it is read."""
    layer = size + 512 + 1024
    for name, content in (
        ("c.json", b"{}"),
        ("manifest.json", b'[{"Config": "c.json", "Layers": ["l/layer.tar"]}]'),
    ):
        yield _head(name, len(content)) + content.ljust(512, b"\0")
    yield _head("l/layer.tar", layer) + _head("large", size)
    yield from (bytes(1 << 20) for _ in range(size >> 20))
    yield bytes(1024) + bytes(1024)


def _head(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf()


def _with_layer(layer: bytes) -> bytes:
    config = b'{"history": [{"created_by": "COPY . /"}]}'
    manifest = b'[{"Config": "c.json", "Layers": ["l/layer.tar"]}]'
    return packed({"c.json": config, "l/layer.tar": layer, "manifest.json": manifest})
