"""Which packages need which, as their own metadata says; of those that are there alone."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lab.advice.image import metadata
from lab.advice.image.owners import DEBIAN
from lab.images.layers.packages import Package

Edge = tuple[Package, Package]


def depends(
    texts: Mapping[str, str], owners: Mapping[str, Package]
) -> Mapping[Package, Sequence[Package]]:
    """``texts``: package managers' files by path; ``owners``: whose each file is. Paths begin
    without a slash.
    """
    here = set(owners.values())
    found: defaultdict[Package, set[Package]] = defaultdict(set)
    for of in (_debian, _python, _node, _r, _conda):
        for needs, needed in of(texts, owners):
            if needs != needed and needs in here and needed in here:
                found[needs].add(needed)
    return {package: sorted(found[package]) for package in sorted(found)}


def _debian(texts: Mapping[str, str], owners: Mapping[str, Package]) -> Iterator[Edge]:
    stanzas = [
        one
        for path, text in texts.items()
        if metadata.DPKG.fullmatch(path)
        for one in metadata.stanzas(text)
    ]
    here = set(owners.values())
    names = {one["package"] for one in stanzas if (DEBIAN, one["package"]) in here}
    providers: defaultdict[str, list[str]] = defaultdict(list)
    for one in stanzas:
        for name, *_ in metadata.debian_choices(one.get("provides", "")):
            if one["package"] in names:
                providers[name].append(one["package"])
    for one in stanzas:
        for key in ("pre-depends", "depends"):
            for choices in metadata.debian_choices(one.get(key, "")):
                there = [name for name in choices if name in names]
                there += sorted(other for name in choices for other in providers[name])
                if there:
                    yield (DEBIAN, one["package"]), (DEBIAN, there[0])


@dataclass(frozen=True)
class _Dist:
    """A Python package: what it needs always (None), and for each of its extras."""

    package: Package
    needs: Sequence[tuple[str, Sequence[str], str | None]]


def _python(texts: Mapping[str, str], owners: Mapping[str, Package]) -> Iterator[Edge]:
    dists: defaultdict[str, list[_Dist]] = defaultdict(list)
    for path, text in texts.items():
        if metadata.PYTHON.fullmatch(path) and path in owners:
            head = metadata.python_head(text)
            lines = [metadata.python_requirement(one) for one in head.get("requires-dist", ())]
            needs = [one for one in lines if one is not None]
            for name in head.get("name", ()):
                dists[metadata.normalised(name)].append(_Dist(owners[path], needs))
    for dist in [one for same in dists.values() for one in same]:
        waiting = [one for one in dist.needs if one[2] is None]
        seen = set()
        while waiting:
            name, extras, _ = waiting.pop()
            for needed in dists.get(name, ()):
                yield dist.package, needed.package
                for extra in extras:  # who asks for it needs what it brings
                    if (name, extra) not in seen:
                        seen.add((name, extra))
                        waiting += [one for one in needed.needs if one[2] == extra]


def _node(texts: Mapping[str, str], owners: Mapping[str, Package]) -> Iterator[Edge]:
    folders = {
        found["folder"]: owners[path]
        for path in texts
        if (found := metadata.NODE.fullmatch(path)) and path in owners
    }
    for folder, package in folders.items():
        for name in metadata.node_names(metadata.parsed(texts[f"{folder}/package.json"])):
            place = _node_place(folder, name, folders)
            if place is not None:
                yield package, folders[place]


def _node_place(folder: str, name: str, folders: Mapping[str, Package]) -> str | None:
    """Where Node finds a package: in the nearest ``node_modules`` upwards."""
    while folder:
        place = f"{folder}/node_modules/{name}"
        if place in folders:
            return place
        folder = folder.rpartition("/")[0]
    place = f"node_modules/{name}"
    return place if place in folders else None


def _r(texts: Mapping[str, str], owners: Mapping[str, Package]) -> Iterator[Edge]:
    said = {
        path: metadata.fields(text)
        for path, text in texts.items()
        if metadata.R.fullmatch(path) and path in owners
    }
    names = {
        one["package"][0].strip(): owners[path] for path, one in said.items() if "package" in one
    }
    for path, one in said.items():
        yield from ((owners[path], names[name]) for name in metadata.r_names(one) if name in names)


def _conda(texts: Mapping[str, str], owners: Mapping[str, Package]) -> Iterator[Edge]:
    del owners
    said = [metadata.parsed(text) for path, text in texts.items() if metadata.CONDA.fullmatch(path)]
    packages = {
        str(one["name"]): ("conda", f"{one['name']} {one.get('version')}")
        for one in said
        if "name" in one
    }
    for one in said:
        for need in one.get("depends") or ():
            name = str(need).split(" ")[0]
            if name in packages and str(one.get("name")) in packages:
                yield packages[str(one["name"])], packages[name]
