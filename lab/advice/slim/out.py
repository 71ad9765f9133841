"""What a slimming says: the answer in a sentence, the table, the list of what was removed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab.advice.contents import EntryKind
from lab.advice.slim.record import REMOVED_LIST, SlimRecord, Start
from lab.advice.slim.select import Selection
from lab.stats.ratios import RatioVerdict
from lab.units import format_bytes, format_seconds

Row = tuple[str, str, str, str]
_PACKAGES_SHOWN: Final = 12
_MUCH: Final = 0.25
"""The share of what is left from which on a file is named as the reason."""
SYMBOLS: Final = "symbols"
"""In ``removed.txt``: the file stays, and lost only these."""


def sentence(record: SlimRecord) -> str:
    """The answer."""
    small = f"{record.smaller:.0%} smaller" if record.smaller > 0 else "not smaller"
    quicker = [
        f"{one.kind} {one.ratio:.2f}x"
        for one in record.starts
        if one.ratio is not None and one.verdict in {RatioVerdict.DIFFERENT, RatioVerdict.LIKELY}
    ]
    starts = f"; starts: {', '.join(quicker)}" if quicker else ""
    return (
        f"{record.name} does what {record.image} does in all that was tried, and is {small}: "
        f"{format_bytes(record.after.unpacked_bytes)} instead of "
        f"{format_bytes(record.before.unpacked_bytes)} unpacked{starts}."
    )


def rows(record: SlimRecord) -> Sequence[Row]:
    """What it is about, before, after, and the ratio: bytes, then seconds."""
    about = " (estimated)" if record.before.estimated else ""
    sizes = [
        (f"compressed{about}", record.before.compressed_bytes, record.after.compressed_bytes),
        ("unpacked", record.before.unpacked_bytes, record.after.unpacked_bytes),
    ]
    found = [
        (name, format_bytes(before), format_bytes(after), f"{after / max(1, before):.2f}x")
        for name, before, after in sizes
    ]
    found.append(
        (
            "files, folders, links",
            str(record.before.names),
            str(record.after.names),
            f"{record.after.names / max(1, record.before.names):.2f}x",
        )
    )
    return [*found, *(_start(one) for one in record.starts)]


def packages(record: SlimRecord) -> Sequence[tuple[str, str, str, str]]:
    """What was left out, the largest first: whose, files, bytes, whether whole."""
    found = [
        (
            f"{one.manager} {one.name}".strip(),
            str(one.files),
            format_bytes(one.unpacked_bytes),
            "all of it" if one.whole else "in part",
        )
        for one in record.removed[:_PACKAGES_SHOWN]
    ]
    rest = record.removed[_PACKAGES_SHOWN:]
    if rest:
        count = sum(one.files for one in rest)
        weigh = format_bytes(sum(one.unpacked_bytes for one in rest))
        found.append((f"{len(rest)} others", str(count), weigh, ""))
    return found


def lines(record: SlimRecord, folder: Path) -> Sequence[str]:
    """What else there is to say: the proof, what came back, the risk, and the way back."""
    found = [
        (
            f"Proven with {len(record.asked)} requests to both, {record.rules} rules of the "
            f"contract and a second recording; {_times(record.rounds, 'candidate')}, "
            f"{_times(record.tries, 'try', 'tries')} to trace what was missing."
        )
    ]
    for one in record.restored:
        some = ", ".join(one.paths[:3]) + (" ..." if len(one.paths) > 3 else "")
        found.append(f"Kept after all: {some} ({one.because}).")
    if record.stripped_files:
        found.append(
            f"{_times(record.stripped_files, 'program or library', 'programs and libraries')} "
            "lost symbol tables and debug sections, which nothing that runs needs: "
            f"{format_bytes(record.stripped_bytes)} (--no-strip keeps them)."
        )
    found += _largest(record)
    found += [f"Risk: {one}" for one in record.risks]
    found += [f"{one.kind} was not measured: {one.unable}." for one in record.starts if one.unable]
    found.append(f"What was removed is listed in {folder / REMOVED_LIST}.")
    if record.removed_tar is not None:
        found.append(
            f"To have it back, in a Dockerfile beside {folder / record.removed_tar}: "
            f"FROM {record.name}, then ADD {record.removed_tar} /"
        )
    else:
        found.append(
            "To have some of it back: --keep GLOB; all of it as a layer: --keep-removed; or in a "
            f"Dockerfile: COPY --from={record.image} PATH PATH"
        )
    return found


def removed_list(selection: Selection) -> str:
    """``removed.txt``: bytes, package and path of each, one a line; by package, largest first.

    Then the files that stay without their symbols, by path, with a word more.
    """
    found = [
        "\t".join((str(one.size), f"{package[0]} {package[1]}".strip(), one.path))
        for package, its in selection.removed_by_package.items()
        for one in its
    ]
    stripped = [
        "\t".join((str(cut), f"{package[0]} {package[1]}".strip(), path, SYMBOLS))
        for path, cut in sorted(selection.stripped.items())
        for package in [selection.contents.entries[path].package]
    ]
    folders = [f"0\t\t{one.path}/" for one in selection.removed if one.kind is EntryKind.FOLDER]
    return "\n".join(["bytes\tpackage\tpath\tonly", *found, *stripped, *folders, ""])


def _largest(record: SlimRecord) -> Sequence[str]:
    """Why it is no smaller, where one file is the reason."""
    one = record.largest
    if one is None or one.unpacked_bytes < _MUCH * record.after.unpacked_bytes:
        return []
    share = one.unpacked_bytes / record.after.unpacked_bytes
    read = ""
    if one.read_bytes is not None:
        read = f", and {min(1.0, one.read_bytes / one.unpacked_bytes):.0%} of it was read"
    return [f"One file is {share:.0%} of what is left{read}: {one.path}."]


def _start(one: Start) -> Row:
    name = f"{one.kind} start"
    if one.ratio is None:
        return name, _seconds(one.before.median_s), _seconds(one.after.median_s), "-"
    wide = f" ({one.low:.2f} to {one.high:.2f})" if one.low is not None else ""
    said = "" if one.verdict is RatioVerdict.DIFFERENT else f", {one.verdict}"
    return (
        name,
        f"{_seconds(one.before.median_s)} (n={one.before.n})",
        f"{_seconds(one.after.median_s)} (n={one.after.n})",
        f"{one.ratio:.2f}x{wide}{said}",
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else format_seconds(value)


def _times(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
