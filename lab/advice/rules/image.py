"""An image as the rules see it: what is where, what the run used, what is not spoken for yet."""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

from lab.advice.contents import ContentLayer, Entry, EntryKind
from lab.advice.costs import COLD
from lab.advice.recording import FileRead, Stage
from lab.advice.rules.model import Advice, Found, Inputs, Saving
from lab.advice.rules.patches import ENV, Step, diff, installs, name_in, normal
from lab.images.layers.packages import OTHER, Package
from lab.report.words import shortened

LEAST_BYTES: Final = 500_000
"""Unpacked: of less nothing is said."""
SITE: Final = re.compile(r"(?P<site>/.*/(?:site|dist)-packages)/.*")
_NAMED: Final = 5
_COMMAND_WIDTH: Final = 60
_BASE_ENDS: Final = re.compile(
    r'CMD \["(?:/bin/)?(?:ba|da)?(?:sh|python[\d.]*|node|R|jshell|bash|julia)"\]$'
)
"""The images that others are built on end like this, and what is built on them seldom does."""


class Image:
    """What the rules are asked about."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.contents = inputs.contents
        self._taken: set[str] = set()
        self._dropped: set[tuple[int, str]] = set()
        self.touched: Mapping[str, FileRead] = inputs.recording.touched()
        self._by_calls = "calls" in inputs.recording.views

    def used(self, path: str) -> bool:
        """Whether the run opened it. Where calls were not seen, whether its blocks were fetched:
        read-ahead is among them, so that less is called unread than is.
        """
        seen = self.touched.get(path)
        return seen is not None and (seen.opened or (not self._by_calls and seen.read_bytes > 0))

    def files(
        self, wanted: Callable[[str], object] = lambda _: True, *, unread: bool = True
    ) -> Mapping[str, int]:
        """Bytes by path of the files that are not spoken for; ``unread``: nor used."""
        return {
            path: entry.size
            for path, entry in self.contents.entries.items()
            if entry.kind is EntryKind.FILE
            and path not in self._taken
            and not (unread and self.used(path))
            and wanted(path)
        }

    def take(self, found: Found) -> None:
        if found.claims:
            self._taken |= found.takes.keys()
        self._dropped |= {*found.drops}

    @cached_property
    def packages(self) -> Mapping[Package, Sequence[str]]:
        """The files of each package, also of those that are none: folders."""
        found: dict[Package, list[str]] = defaultdict(list)
        for path, entry in self.contents.entries.items():
            if entry.kind is EntryKind.FILE:
                found[entry.package].append(path)
        return found

    def package(self, manager: str, name: str) -> Package | None:
        """By its name without the version, however that is written."""
        return self._names.get((manager, normal(name)))

    @cached_property
    def _names(self) -> Mapping[tuple[str, str], Package]:
        return {(package[0], normal(package[1])): package for package in self.packages}

    @cached_property
    def used_packages(self) -> set[Package]:
        """Of which the run opened a file; that they are listed somewhere is no use of them."""
        return {
            entry.package
            for path, entry in self.contents.entries.items()
            if entry.kind is not EntryKind.FOLDER and self.used(path) and not _told_of(path)
        }

    @cached_property
    def needed(self) -> Mapping[Package, Package]:
        """What the used ones say that they need, with all that needs in turn; and who says so."""
        return self.led_to(self.used_packages)

    def led_to(self, packages: Collection[Package]) -> Mapping[Package, Package]:
        """The packages that these need and that are none of them, each with one that needs it."""
        found: dict[Package, Package] = {}
        waiting = [*packages]
        while waiting:
            one = waiting.pop()
            for other in self.contents.depends.get(one, ()):
                if other not in found and other not in packages:
                    found[other] = one
                    waiting.append(other)
        return found

    def asked_for(self, step: Step) -> Mapping[str, Collection[Package]]:
        """What a step that is not the base's asks Debian's package manager for, in its order, each
        with all that it leads to. What an earlier rule drops is left out.
        """
        if step.base or step.shell is None:
            return {}
        named = [name_in(word) for word in installs(step.shell, "Debian")]
        return {
            word: {("Debian", word), *self.led_to([("Debian", word)])}
            for word in named
            if (step.number, word) not in self._dropped
        }

    def spare(self, step: Step, words: Collection[str]) -> Sequence[str]:
        """Those of the words that can go together: nothing that was used came for them alone."""
        asked = self.asked_for(step)
        found: list[str] = []
        for word in words:
            if word in asked and not any(
                one in self.used_packages for one in self._alone(step, [*found, word])
            ):
                found.append(word)
        return found

    def only_for(self, step: Step, words: Collection[str]) -> Collection[Package]:
        """The packages that came for these words alone, and that nothing that was used needs."""
        return [
            one
            for one in self._alone(step, words)
            if one not in self.used_packages and one not in self.needed
        ]

    def _alone(self, step: Step, words: Collection[str]) -> Collection[Package]:
        asked = self.asked_for(step)
        others = {one for word in asked if word not in words for one in asked[word]}
        mine = dict.fromkeys(one for word in words for one in asked.get(word, ()))
        return [
            one
            for one in mine
            if one not in others
            and one in self.packages
            and self.layers_of(self.packages[one])[0] == step.number
        ]

    def builder(self, step: Step, package: Package) -> Step | None:
        """The first step, from this one on, that runs a program of a package."""
        programs = [
            re.escape(found[1])
            for path, entry in self.contents.entries.items()
            if entry.package == package and (found := _PROGRAM.fullmatch(path))
        ]
        runs = re.compile(rf"(?:^|[;&|(]\s*|\s-m\s+){ENV}(?:\S*/)?(?:{'|'.join(programs)})(?=\s|$)")
        later = self.steps[step.number - 1 :] if programs else ()
        return next((one for one in later if one.shell and runs.search(one.shell)), None)

    def of_package(self, package: Package) -> Mapping[str, int]:
        """Its files that are not spoken for, used or not."""
        entries = self.contents.entries
        return {
            path: entries[path].size
            for path in self.packages.get(package, ())
            if path not in self._taken
        }

    def layers_of(self, paths: Collection[str]) -> Sequence[int]:
        """Which layers hold them, the one with most of them first."""
        weight: dict[int, int] = defaultdict(int)
        for path in paths:
            entry = self.contents.entries[path]
            weight[entry.layer] += entry.size + 1
        return sorted(weight, key=lambda number: -weight[number])

    def by_layer(self, files: Mapping[str, int]) -> Iterator[tuple["Step", Mapping[str, int]]]:
        """Those of each layer, if they are worth a word."""
        found: dict[int, dict[str, int]] = defaultdict(dict)
        for path, size in files.items():
            found[self.contents.entries[path].layer][path] = size
        for number in sorted(found):
            if sum(found[number].values()) >= LEAST_BYTES:
                yield self.step(number), found[number]

    def step(self, number: int) -> Step:
        return self.steps[number - 1]

    @cached_property
    def steps(self) -> Sequence[Step]:
        """What made each layer, the lowest first."""
        base = self._base_layers()
        return [
            Step(
                number=layer.number,
                command=layer.command,
                base=layer.number <= base or not layer.command.startswith(_OWN),
            )
            for layer in self.contents.layers
        ]

    def _base_layers(self) -> int:
        history = self.contents.config.get("history")
        layers = ends = 0
        for step in history if isinstance(history, Sequence) else ():
            if not step.get("empty_layer"):
                layers += 1
            elif _BASE_ENDS.search(str(step.get("created_by") or "").removesuffix(" # buildkit")):
                ends = layers
        # What ends like this at its very top is an image that nothing was built on.
        return ends if ends < len(self.contents.layers) else 0

    @cached_property
    def sites(self) -> Sequence[str]:
        """The folders of Python's packages."""
        found = (SITE.fullmatch(path) for path in self.contents.entries)
        return sorted({one["site"] for one in found if one})

    @cached_property
    def environment(self) -> Mapping[str, str]:
        config = self.contents.config.get("config")
        given = config.get("Env") if isinstance(config, Mapping) else None
        pairs = (str(one).partition("=") for one in given or ())
        return {name: value for name, _, value in pairs}

    def first_used_in(self, stage: Stage) -> Mapping[str, int]:
        """Bytes of the files that were opened in a stage for the first time."""
        entries = self.contents.entries
        return {
            path: entries[path].size
            for path, seen in self.touched.items()
            if seen.first is stage
            and path in entries
            and entries[path].kind is EntryKind.FILE
            and self.used(path)
        }

    def advice(self, found: Found) -> Advice:
        """What was found, with its figures."""
        entries = [self.contents.entries[path] for path in found.takes]
        layers = self.layers_of(found.takes.keys())
        shown = found.show or sorted(found.takes, key=lambda path: -found.takes[path])[:_NAMED]
        return Advice(
            kind=found.kind,
            title=found.title,
            seen=found.seen,
            paths=tuple(shown),
            packages=tuple(self._named_packages(entries)),
            layers=tuple(dict.fromkeys([*layers, *found.hidden])),
            saves=self._saving(found),
            todo=found.todo,
            patch=self._patch(found),
            confidence=found.confidence,
            risk=found.risk,
            urgent=found.urgent,
        )

    def _named_packages(self, entries: Sequence[Entry]) -> Sequence[str]:
        weight: dict[Package, int] = defaultdict(int)
        for entry in entries:
            if entry.package[0] != OTHER:
                weight[entry.package] += entry.size
        heavy = sorted(weight, key=lambda package: -weight[package])
        return [f"{manager}: {name}" for manager, name in heavy]

    def _saving(self, found: Found) -> Saving:
        rates = self.inputs.rates
        unpacked = compressed = read = files = 0
        waited = 0.0
        for path, goes in found.takes.items():
            entry = self.contents.entries[path]
            share = goes / entry.size if entry.size else 1.0
            unpacked += goes
            compressed += round(entry.compressed * share)
            files += share >= 1.0
            seen = self.touched.get(path)
            if seen is not None and found.takes_read:
                read += round(share * sum(seen.block_bytes.get(stage, 0) for stage in COLD))
                waited += share * sum(seen.waited_s.get(stage, 0.0) for stage in COLD)
        for one in (one for number in found.hidden for one in self._layer(number).hidden):
            unpacked += one.size
            compressed += one.compressed
            files += 1
        return Saving(
            files=files,
            unpacked_bytes=unpacked,
            compressed_bytes=compressed,
            read_bytes=read,
            pull_s=rates.pull_s(compressed=compressed, unpacked=unpacked, files=files),
            ondemand_s=waited if self.inputs.recording.chunks else None,
            import_s=found.import_s,
            moved_s=found.moved_s,
        )

    def _layer(self, number: int) -> ContentLayer:
        return self.contents.layers[number - 1]

    def _patch(self, found: Found) -> str | None:
        parts = []
        for number, rewrite in found.rewrites.items():
            shell = self.step(number).shell
            new = None if shell is None else rewrite(shell)
            if shell is not None and new is not None:
                heading = [f"# layer {number}"] if len(found.rewrites) > 1 else []
                parts += [*heading, diff(shell, new)]
        parts += ["\n".join(found.lines)] if found.lines else []
        return "\n".join(parts) or None


_PROGRAM: Final = re.compile(r"(?:/.*)?/s?bin/([^/]+)")
_OWN: Final = ("RUN", "COPY", "ADD", "/bin/", "WORKDIR")


def _told_of(path: str) -> bool:
    """What tells of a package to whoever lists all of them."""
    return ".dist-info/" in path or ".egg-info" in path or path.startswith("/var/lib/dpkg/")


def where(step: Step) -> str:
    """Where a change belongs, in words."""
    if step.base:
        return "the base image"
    if step.copies:
        return f"what layer {step.number} copies (`{shortened(step.command, _COMMAND_WIDTH)}`)"
    return f"layer {step.number}'s step (`{shortened(step.command, _COMMAND_WIDTH)}`)"
