"""Seconds by package: exact, and all that was measured is somebody's."""

import pytest

from lab.advice.contents import ContentLayer, Contents, Entry, EntryKind, Hidden
from lab.advice.costs import (
    FILE_BYTES,
    HIDDEN,
    PullSeconds,
    ondemand_costs,
    pull_costs,
    shared_waits,
)
from lab.advice.imports import ImportTime
from lab.advice.packages import Costs, package_rows
from lab.advice.recording import ChunkCount, FileRead, Recording, Stage
from lab.images.layers.packages import Package
from lab.spec import Phase, Platform

TF: Package = ("Python", "tensorflow 2.21")
PERL: Package = ("Debian", "perl-base")
APP: Package = ("", "/srv")


def entry(path: str, package: Package, size: int = 0, compressed: int = 0) -> Entry:
    return Entry(
        path=path,
        kind=EntryKind.FILE,
        size=size,
        compressed=compressed,
        layer=2,
        mode=0o644,
        package=package,
    )


def image(*entries: Entry, hidden: tuple[Hidden, ...] = ()) -> Contents:
    layer = ContentLayer(
        number=1,
        command="RUN x",
        unpacked_bytes=sum(one.size for one in entries) + sum(one.size for one in hidden),
        compressed_bytes=sum(one.compressed for one in entries)
        + sum(one.compressed for one in hidden),
        compressed_known=True,
        hidden=hidden,
    )
    return Contents(
        image="x",
        image_id="y",
        config={},
        layers=[layer],
        entries={one.path: one for one in entries},
    )


def recording(*files: FileRead, **waited_s: float) -> Recording:
    chunks = {Stage(stage): ChunkCount(chunks=1, waited_s=s) for stage, s in waited_s.items()}
    return Recording(
        image="x",
        image_id="y",
        platform=Platform.AMD64,
        emulated=False,
        lab_version="1",
        recorded_at="2026-01-01",
        views=["blocks", "calls"],
        files=files,
        missed=(),
        answers=(),
        chunks=chunks,
    )


def read(path: str, first: Stage, *, opened: bool = True, **block_bytes: int) -> FileRead:
    found = {Stage(stage): count for stage, count in block_bytes.items()}
    return FileRead(path=path, first=first, opened=opened, block_bytes=found)


IMAGE = image(
    entry("/tf/a", TF, FILE_BYTES * 5, 600),
    entry("/tf/b", TF, 0, 0),
    entry("/usr/bin/perl", PERL, FILE_BYTES * 1, 100),
    hidden=(Hidden(path="/old", size=FILE_BYTES * 9, compressed=300, by_layer=2, removed=True),),
)


def test_a_pull_is_shared_by_compressed_bytes_and_by_unpacked_bytes_and_names() -> None:
    found = pull_costs(IMAGE, PullSeconds(download_s=10, unpack_s=19, measured=True))
    # Unpacked: 5 + 2 names, 1 + 1 name, 9 + 1 name, of 19 in all.
    assert found == {TF: 6 + 7, PERL: 1 + 2, HIDDEN: 3 + 10}


def test_a_measured_pull_has_both_phases_and_a_start_without_one_has_none() -> None:
    phases = {Phase.IMAGE_PULL: 4.0, Phase.IMAGE_UNPACK: 1.5, Phase.CREATE: 9.0}
    assert PullSeconds.of_phases(phases) == PullSeconds(download_s=4.0, unpack_s=1.5, measured=True)
    assert PullSeconds.of_phases({Phase.CREATE: 9.0}) is None


def test_where_no_pull_was_measured_the_link_alone_is_counted_and_hidden_bytes_too() -> None:
    pull = PullSeconds.of_bandwidth(IMAGE, bits_per_s=800)
    assert pull == PullSeconds(download_s=10.0, unpack_s=0.0, measured=False)
    assert pull_costs(IMAGE, pull) == {TF: 6.0, PERL: 1.0, HIDDEN: 3.0}


def test_an_image_without_a_byte_costs_nothing_by_the_link() -> None:
    pull = PullSeconds(download_s=1, unpack_s=1, measured=True)
    assert pull_costs(image(), pull) == {}
    assert pull_costs(image(entry("/empty", APP)), pull) == {APP: 1.0}


def test_each_chunk_costs_the_same_and_is_shared_by_what_of_it_was_asked_for() -> None:
    chunks = [{"/a": 300, "/b": 100}, {"/b": 7}, {}, {"/a": 0}]
    assert shared_waits(8.0, chunks) == {"/a": 1.5, "/b": 0.5 + 2.0, "": 4.0}
    assert shared_waits(8.0, []) == {}


def test_on_demand_is_what_the_files_that_were_read_waited_for_until_the_first_prediction() -> None:
    seen = recording(
        FileRead(
            path="/tf/a",
            first=Stage.READY,
            opened=True,
            waited_s={Stage.READY: 1.5, Stage.FIRST: 0.25, Stage.LATER: 8.0},
        ),
        FileRead(path="/srv/x", first=Stage.READY, opened=True, waited_s={Stage.READY: 0.5}),
        ready=2.0,
    )
    assert ondemand_costs(IMAGE, seen) == {TF: 1.75, APP: 0.5}
    assert ondemand_costs(IMAGE, seen, [Stage.LATER]) == {TF: 8.0}


def test_without_a_view_of_blocks_nothing_is_said_of_on_demand() -> None:
    assert ondemand_costs(IMAGE, recording(read("/tf/a", Stage.READY))) is None


def test_the_table_is_ordered_by_the_seconds_of_the_kind_of_start_that_suffers_most() -> None:
    seen = recording(
        read("/tf/a", Stage.FIRST, ready=0, first_prediction=64),
        read("/tf/b", Stage.READY, opened=False),
        read("/usr/bin/perl", Stage.LATER, opened=False),
    )
    imports = {
        TF: ImportTime(self_s=2.0, cumulative_s=2.5, modules=3),
        APP: ImportTime(self_s=0.5, cumulative_s=3.0, modules=1),
    }
    costs = Costs(pull={TF: 13.0, PERL: 3.0, HIDDEN: 13.5}, ondemand={TF: 14.0}, imports=imports)
    tf, hidden, perl, app = package_rows(IMAGE, seen, costs)
    assert [one.package for one in (tf, hidden, perl, app)] == [TF, HIDDEN, PERL, APP]
    assert [one.seconds for one in (tf, hidden, perl, app)] == [16.0, 13.5, 3.0, 0.5]
    assert (tf.size, tf.compressed, tf.files, tf.largest) == (FILE_BYTES * 5, 600, 2, "/tf/a")
    assert (tf.touched, tf.opened, tf.opened_files) == (Stage.READY, Stage.FIRST, 1)
    assert (tf.opened_bytes, tf.read_bytes, tf.import_s) == (FILE_BYTES * 5, 64, 2.0)
    assert (perl.touched, perl.opened, perl.ondemand_s) == (Stage.LATER, None, 0.0)
    assert (hidden.files, hidden.size, hidden.layers) == (1, FILE_BYTES * 9, [1])
    assert (hidden.touched, hidden.import_s, hidden.ondemand_s) == (None, None, 0.0)
    assert (app.files, app.pull_s, app.layers) == (0, 0.0, [])


def test_what_nobody_measured_is_not_nought_and_size_decides() -> None:
    first, second, third = package_rows(IMAGE, recording(), Costs())
    assert [one.package for one in (first, second, third)] == [HIDDEN, TF, PERL]
    assert (second.pull_s, second.ondemand_s, second.import_s) == (None, None, None)
    assert second.touched is None


@pytest.mark.parametrize("kind", [EntryKind.FOLDER, EntryKind.LINK])
def test_a_row_needs_a_file_or_a_link_of_its_own(kind: EntryKind) -> None:
    one = Entry(path="/srv", kind=kind, size=0, compressed=0, layer=1, mode=0o755, package=APP)
    rows = package_rows(image(one), recording(), Costs())
    assert [row.package for row in rows] == ([] if kind is EntryKind.FOLDER else [APP])
