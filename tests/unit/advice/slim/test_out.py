"""What a slimming says of itself."""

from pathlib import Path

from lab.advice.slim.compare import starts
from lab.advice.slim.out import lines, packages, removed_list, rows, sentence
from lab.advice.slim.record import RemovedPackage, Restored, Size, SlimRecord, Start
from lab.advice.slim.select import Level, Selection
from lab.coldstart.record import Cell, Outcome, Sample
from lab.spec import Platform, StartKind
from lab.stats.ratios import RatioVerdict
from tests.unit.advice.slim.images import contents, file, folder


def sample(name: str, kind: StartKind, block: int, total_s: float | None, why: str = "") -> Sample:
    cell = Cell(variant=name, model="own", platform=Platform.AMD64, tier="host", start_kind=kind)
    return Sample(
        trial=block,
        block=block,
        cell=cell,
        started_at="2026-01-01T00:00:00+00:00",
        outcome=Outcome.SKIPPED if why else Outcome.OK,
        skipped=why or None,
        total_s=total_s,
    )


def measured() -> list[Start]:
    found = {}
    for name, factor in (("before", 1.0), ("after", 0.5)):
        found[name, StartKind.PULL] = [
            sample(name, StartKind.PULL, block, factor * (20 + block / 10)) for block in range(1, 7)
        ]
        found[name, StartKind.ONDEMAND] = [
            sample(name, StartKind.ONDEMAND, 1, None, "there is no FUSE here")
        ]
    return list(starts(found))


def record(**changes: object) -> SlimRecord:
    size = Size(
        compressed_bytes=500_000_000, estimated=False, unpacked_bytes=1_500_000_000, names=900
    )
    fields = {
        "id": "20260101T000000Z-slim",
        "image": "mine:1",
        "image_id": "sha256:1",
        "name": "mine:slim",
        "new_id": "sha256:2",
        "platform": Platform.AMD64,
        "level": Level.FILES,
        "lab_version": "0",
        "payloads": ["a.json"],
        "asked": ["a.json", "wrong type"],
        "rules": 51,
        "rounds": 2,
        "tries": 1,
        "before": size,
        "after": Size(
            compressed_bytes=200_000_000, estimated=False, unpacked_bytes=600_000_000, names=300
        ),
        "removed": [
            RemovedPackage(manager="Debian", name="perl", files=9, unpacked_bytes=900, whole=True)
        ],
        "restored": [Restored(because="wrong type: 500", paths=["/app/errors"], traced=True)],
        "starts": measured(),
        "risks": ["One payload."],
    }
    return SlimRecord.model_validate({**fields, **changes})


def test_the_first_sentence_has_the_bytes_and_only_what_is_shown_of_the_seconds() -> None:
    assert sentence(record()) == (
        "mine:slim does what mine:1 does in all that was tried, and is 60% smaller: 600 MB instead "
        "of 1.5 GB unpacked; starts: pull 0.50x."
    )
    assert sentence(record(starts=[])).endswith("unpacked.")


def test_the_table_has_bytes_then_seconds_with_intervals() -> None:
    found = rows(record())
    assert found[0] == ("compressed", "500 MB", "200 MB", "0.40x")
    assert found[1] == ("unpacked", "1.5 GB", "600 MB", "0.40x")
    assert found[2] == ("files, folders, links", "900", "300", "0.33x")
    assert found[3] == ("ondemand start", "-", "-", "-")
    assert found[4][:3] == ("pull start", "20.4 s (n=6)", "10.2 s (n=6)")
    assert found[4][3].startswith("0.50x (0.50 to 0.50)")


def test_the_ratio_of_starts_pairs_blocks_and_what_cannot_be_measured_says_why() -> None:
    ondemand, pull = measured()
    assert (pull.ratio, pull.verdict) == (0.5, RatioVerdict.DIFFERENT)
    assert (pull.before.n, pull.before.failed) == (6, 0)
    assert (ondemand.ratio, ondemand.verdict) == (None, RatioVerdict.UNKNOWN)
    assert ondemand.unable == "there is no FUSE here"


def test_proof_what_came_back_risk_and_the_way_back_are_said() -> None:
    said = lines(record(), Path("runs/x"))
    assert said[0].startswith("Proven with 2 requests to both, 51 rules of the contract and")
    assert "2 candidates, 1 try to trace" in said[0]
    assert said[1] == "Kept after all: /app/errors (wrong type: 500)."
    assert said[2] == "Risk: One payload."
    assert said[3] == "ondemand was not measured: there is no FUSE here."
    assert said[4] == "What was removed is listed in runs/x/removed.txt."
    kept = lines(record(removed_tar="removed.tar"), Path("runs/x"))
    assert "FROM mine:slim, then ADD removed.tar /" in kept[-1]
    assert packages(record()) == [("Debian perl", "9", "900 B", "all of it")]


def test_it_says_what_was_stripped_and_which_file_is_why_it_is_no_smaller() -> None:
    largest = {"path": "/lib/big.so", "unpacked_bytes": 420_000_000, "read_bytes": 105_000_000}
    found = record(stripped_files=2, stripped_bytes=205_000_000, largest=largest)
    said = lines(found, Path("runs/x"))
    assert said[2] == (
        "2 programs and libraries lost symbol tables and debug sections, which nothing that runs "
        "needs: 205 MB (--no-strip keeps them)."
    )
    assert said[3] == "One file is 70% of what is left, and 25% of it was read: /lib/big.so."
    unseen = lines(record(largest={**largest, "read_bytes": None}), Path("runs/x"))
    assert unseen[2] == "One file is 70% of what is left: /lib/big.so."
    small = lines(record(largest={**largest, "unpacked_bytes": 99_000_000}), Path("runs/x"))
    assert not [line for line in small if line.startswith("One file")]


def test_the_list_has_bytes_package_and_path_the_heaviest_package_first() -> None:
    image = contents(
        file("/a/small", 5, ("Debian", "small")),
        file("/b/large", 50, ("", "/b")),
        file("/c/stays", 10, ("Python", "tensor")),
        folder("/d"),
    )
    selection = Selection(
        level=Level.FILES,
        contents=image,
        kept=frozenset({"/c", "/c/stays", "/d"}),
        stripped={"/c/stays": 7},
    )
    assert removed_list(selection).splitlines() == [
        "bytes\tpackage\tpath\tonly",
        "50\t/b\t/b/large",
        "5\tDebian small\t/a/small",
        "7\tPython tensor\t/c/stays\tsymbols",
        "0\t\t/a/",
        "0\t\t/b/",
    ]
