"""What the build left in the image, or put there twice."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from lab.advice.rules.image import LEAST_BYTES, Image, where
from lab.advice.rules.model import AdviceKind, Confidence, Found, Rewrite
from lab.advice.rules.patches import Step, ended_by, gone, installs, option
from lab.advice.rules.words import capital, listing
from lab.images.layers.ballast import Ballast, kind_of
from lab.report.words import plural
from lab.units import format_bytes

_NOT_HERE: Final = {"the compiler", "tests of Python packages", "what Python compiled"}
"""Kinds of ballast that have rules of their own."""
_MENDS: Final[Mapping[str, Rewrite]] = {
    "apt's archives": ended_by("apt-get clean"),
    "apt's lists": ended_by("rm -rf /var/lib/apt/lists/*"),
    "yum's and dnf's cache": ended_by("dnf clean all"),
    "apk's cache": option("Alpine", "--no-cache"),
    "pip's cache": option("Python", "--no-cache-dir"),
    "uv's cache": option("Python", "--no-cache"),
    "npm's cache": ended_by("npm cache clean --force"),
    "Yarn's cache": ended_by("yarn cache clean"),
    "conda's packages": ended_by("conda clean -afy"),
    "R's downloads": ended_by("rm -rf /tmp/Rtmp* /tmp/downloaded_packages /root/.cache/R"),
    "temporary files": ended_by("rm -rf /tmp/* /var/tmp/*"),
}
_TIDY: Final = (
    r"(?:rm |find .* (?:-delete|-exec rm .*)|apt-get (?:-\S+ )*(?:clean|purge|remove|autoremove)"
    r"|pip[\d.]* (?:uninstall|cache purge)|conda clean|npm cache clean|apk del )[^&|;]*"
)
_TIDIES: Final = re.compile(rf"{_TIDY}(?:\s*(?:&&|;)\s*{_TIDY})*")
_DUPLICATE_BYTES: Final = 1_000_000
_CONTAINED: Final = (
    (
        re.compile(r"(?P<folder>.*/onnxruntime/capi)/libonnxruntime\.so[.\d]*"),
        re.compile(r".*/onnxruntime_pybind11_state\.[^/]*so"),
        "the Python extension beside it holds the whole library",
    ),
)
"""A library, what lies in its folder and holds all of it, and why."""
_WEIGHTS: Final = re.compile(
    r".*\.(?:onnx|pb|h5|hdf5|keras|pt|pth|safetensors|tflite|gguf|joblib|ckpt|mar|pkl|pickle|rds"
    r"|data-\d+-of-\d+|caffemodel|params|bst|ubj|cbm)|.*/pytorch_model[^/]*\.bin"
)
_LEAST_WEIGHTS: Final = 5_000_000
_SHOWN: Final = 3


def hidden(image: Image) -> Iterator[Found]:
    """Files that a later layer removes or replaces."""
    for layer in image.contents.layers:
        if layer.hidden_bytes < LEAST_BYTES:
            continue
        step = image.step(layer.number)
        by = sorted({one.by_layer for one in layer.hidden})
        removed = sum(one.size for one in layer.hidden if one.removed)
        largest = [one.path for one in layer.hidden[:_SHOWN]]
        how = "removed" if removed * 2 > layer.hidden_bytes else "replaced"
        if step.base and how == "replaced":
            continue  # lists of packages and the like, which any step that installs writes anew
        hiding = [image.step(number) for number in by]
        if any(re.search(r"\bch(?:own|mod)\b", one.command) for one in hiding):
            todo = (
                "Set owner and mode in the step that brings the files, with `COPY --chown=... "
                "--chmod=...`: a later `chown` or `chmod` ships all of them again."
            )
        elif step.base:
            todo = "Take a base image without them, or build from a smaller one."
        elif step.copies:
            todo = "Leave them out of what is copied: name them in .dockerignore."
        else:
            todo = (
                f"{'Remove' if how == 'removed' else 'Change'} them in layer {layer.number}'s own "
                "step, or make them in a first stage and copy only what is needed."
            )
        merged = [one.shell for one in hiding if one.shell and _TIDIES.fullmatch(one.shell)]
        moves = bool(merged) and len(merged) == len(hiding) and step.shell is not None
        moves = moves and not step.base
        rewrites: Mapping[int, Rewrite] = {}
        known = kind_of(largest[0].lstrip("/"))
        if moves:
            rewrites = {step.number: ended_by(" && ".join(merged)), **dict.fromkeys(by, gone)}
        elif known is not None:  # a package manager's, which it wrote anew
            todo, rewrites = _cure(known[0], step), _mended(image, step, known[0].name)
        yield Found(
            kind=AdviceKind.HIDDEN,
            title=f"Do not ship in layer {layer.number} what is {how} by layer "
            f"{listing([*map(str, by)])}",
            seen=f"{plural(len(layer.hidden), 'file')} of layer {layer.number}, "
            f"{format_bytes(layer.hidden_bytes)}, are {how} by a later layer: pulled and unpacked, "
            "and no container sees them.",
            todo=todo,
            hidden=(layer.number,),
            show=largest,
            rewrites=rewrites,
            confidence=Confidence.CERTAIN,
        )


def leftovers(image: Image) -> Iterator[Found]:
    """Package managers' caches and lists, and what else a build leaves behind."""
    kinds: dict[str, Ballast] = {}
    folders: dict[tuple[str, int], set[str]] = defaultdict(set)
    takes: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
    for path, size in image.files().items():
        known = kind_of(path.lstrip("/"))
        if known is None or known[0].wanted or known[0].name in _NOT_HERE:
            continue
        kind, folder = known
        key = (kind.name, image.contents.entries[path].layer)
        kinds[kind.name] = kind
        folders[key].add(f"/{folder}")
        takes[key][path] = size
    for (name, number), files in takes.items():
        size = sum(files.values())
        if size < LEAST_BYTES:
            continue
        step = image.step(number)
        yield Found(
            kind=AdviceKind.LEFT_OVER,
            title=f"Leave {name} out of the image",
            seen=f"{plural(len(files), 'file')} in {listing(sorted(folders[name, number]))}, "
            "which nothing read.",
            todo=_cure(kinds[name], step),
            takes=files,
            show=sorted(folders[name, number]),
            rewrites=_mended(image, step, name),
            confidence=Confidence.LIKELY if name == "temporary files" else Confidence.CERTAIN,
        )


def _mended(image: Image, step: Step, name: str) -> Mapping[int, Rewrite]:
    """The step with what clears them; lists that a later step needs are fetched in that one."""
    mend = _MENDS.get(name)
    if mend is None or step.base or step.shell is None:
        return {}
    if not name.startswith("apt's") or installs(step.shell, "Debian"):
        return {step.number: mend}
    later = [
        one
        for one in image.steps[step.number :]
        if one.shell is not None and installs(one.shell, "Debian")
    ]
    if not later:
        return {step.number: mend}
    if len(later) > 1 or not _UPDATE.fullmatch(step.shell):
        return {}

    def fetched(shell: str) -> str | None:
        return mend(shell if shell.startswith(f"{step.shell} ") else f"{step.shell} && {shell}")

    return {step.number: gone, later[0].number: fetched}


_UPDATE: Final = re.compile(r"apt(?:-get)?(?: -\S+)* update(?: -\S+)*")


def _cure(kind: Ballast, step: Step) -> str:
    if step.base:
        return f"Take a base image without it, or {kind.cure} where that is made."
    if step.copies:
        return f"{capital(kind.cure)} before layer {step.number} copies it."
    return f"{capital(kind.cure)} in {where(step)}: in a later one it takes no byte off."


def two_copies(image: Image) -> Iterator[Found]:
    """One library in two places, of which the run used one."""
    large = {
        path: size for path, size in image.files(unread=False).items() if size >= _DUPLICATE_BYTES
    }
    for group in _alike(image, large):
        spare = [path for path in group if not image.used(path)]
        kept = [path for path in group if image.used(path)]
        if kept and spare:
            yield _copies(image, kept, {path: large[path] for path in spare}, "the same content")
    for library, holder, why in _CONTAINED:
        for path, size in large.items():
            found = library.fullmatch(path)
            if not found or image.used(path):
                continue
            holders = [
                other
                for other in image.contents.entries
                if other.startswith(f"{found['folder']}/") and holder.fullmatch(other)
            ]
            kept = [other for other in holders if image.used(other)]
            if kept:
                yield _copies(image, kept, {path: size}, why)


def _alike(image: Image, large: Mapping[str, int]) -> Iterator[Sequence[str]]:
    by_content: dict[str, list[str]] = defaultdict(list)
    for path in large:
        known = image.inputs.libraries.get(path)
        if known is not None:
            by_content[known.sha256].append(path)
    yield from (group for group in by_content.values() if len(group) > 1)


def _copies(image: Image, kept: Collection[str], spare: Mapping[str, int], why: str) -> Found:
    layers = image.layers_of(spare.keys())
    step = image.step(layers[0])
    removal = f"rm -f {' '.join(sorted(spare))}"
    name = next(iter(spare)).rpartition("/")[2]
    return Found(
        kind=AdviceKind.TWO_COPIES,
        title=f"Ship {name} once",
        seen=f"The run used {listing([*kept])} and not {listing([*spare])}: {why}.",
        todo=f"Remove the unused copy in {where(step)}, in the same step: `{removal}`.",
        takes=spare,
        rewrites={} if step.base or len(layers) > 1 else {step.number: ended_by(removal)},
        confidence=Confidence.LIKELY,
        risk="A program that links to the second copy and was not run would miss it.",
    )


def baked_weights(image: Image) -> Iterator[Found]:
    """Models in the image: read ones might come as model data, unread ones need not come at all."""
    files = {
        path: size
        for path, size in image.files(_WEIGHTS.fullmatch, unread=False).items()
        if size >= _LEAST_WEIGHTS and not re.search(r"/(?:site|dist)-packages/", path)
    }
    read = {path: size for path, size in files.items() if image.used(path)}
    unread = {path: size for path, size in files.items() if not image.used(path)}
    for step, found in image.by_layer(unread):
        yield Found(
            kind=AdviceKind.BAKED_WEIGHTS,
            title=f"Leave weights that nothing read out of layer {step.number}",
            seen=f"{listing([*found])} look like a model's weights, and no request read them.",
            todo=f"Leave them out of {where(step)}; name them in .dockerignore if a COPY brings "
            "them.",
            takes=found,
            confidence=Confidence.LIKELY,
            risk="A request that asks for another model or version would read them.",
        )
    for step, found in image.by_layer(read):
        beside = _beside(image, step, found)
        yield Found(
            kind=AdviceKind.BAKED_WEIGHTS,
            title=f"Weights are baked into layer {step.number}",
            seen=f"{listing([*found])}, {format_bytes(sum(found.values()))}, read by the run, came "
            f"with {where(step)}"
            + (f", together with {beside} that change more often." if beside else "."),
            todo="Hand them to SageMaker as model data (model.tar.gz, ModelDataUrl), so that a new "
            "model needs no new image; or keep them, in a layer of their own below the code's, so "
            "that a change to the code does not ship them again. The bytes come either way: this "
            "saves no start any time.",
            show=[*found],
            claims=False,
            confidence=Confidence.TRY,
        )


def _beside(image: Image, step: Step, weights: Mapping[str, int]) -> str:
    """The programs in the same layer, in words."""
    code = [
        path
        for path, entry in image.contents.entries.items()
        if entry.layer == step.number
        and path not in weights
        and path.endswith((".py", ".js", ".R", ".sh"))
        and "-packages/" not in path
        and "/node_modules/" not in path
    ]
    return plural(len(code), "program") if step.copies and code else ""
