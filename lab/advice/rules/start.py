"""What a start does that it need not: install, import for nothing, load late, fork too often."""

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from lab.advice.recording import Stage
from lab.advice.rules.image import Image
from lab.advice.rules.model import AdviceKind, Confidence, Found
from lab.advice.rules.patches import normal
from lab.advice.rules.words import listing
from lab.images.layers.packages import Package
from lab.report.words import plural
from lab.units import format_bytes, format_seconds

_INSTALLERS: Final = (
    (
        "pip",
        re.compile(r".*/pip/_internal/commands/(?:__pycache__/)?install\.(?:cpython-\d+\.)?pyc?"),
    ),
    ("npm", re.compile(r".*/npm/lib/commands/(?:install|ci)\.js")),
    ("apt-get", re.compile(r"/usr/bin/apt(?:-get)?|/usr/lib/apt/methods/.*")),
    ("uv", re.compile(r".*/bin/uv")),
    ("conda", re.compile(r".*/conda/cli/(?:__pycache__/)?main_install\.(?:cpython-\d+\.)?pyc?")),
)
_LATE_BYTES: Final = 5_000_000
_LATE_S: Final = 0.2
_IMPORT_S: Final = 0.05
_COUNTS: Final = re.compile(
    r"cpu_count\(|\bnproc\b|sched_getaffinity|os\.cpus\(\)|availableProcessors"
)
_SETTING: Final = re.compile(
    r"(?:MODEL_SERVER_WORKERS|SAGEMAKER_MODEL_SERVER_WORKERS|WEB_CONCURRENCY|GUNICORN_WORKERS)"
)
_STARLETTES: Final = {
    *("FastAPI", "Request", "Response", "HTTPException", "APIRouter", "responses", "status"),
}
"""What FastAPI passes on from Starlette, or that has its like there."""
_FASTAPIS_OWN: Final = {
    *(
        "fastapi",
        "pydantic",
        "pydantic-core",
        "annotated-types",
        "annotated-doc",
        "email-validator",
    ),
}


def installed_at_start(image: Image) -> Iterator[Found]:
    """A package manager that installs before the server serves."""
    for name, mark in _INSTALLERS:
        seen = [
            path
            for path, one in image.touched.items()
            if one.first is Stage.READY and image.used(path) and mark.fullmatch(path)
        ]
        if not seen:
            continue
        yield Found(
            kind=AdviceKind.INSTALLED_AT_START,
            title=f"Install with {name} when the image is built, not when it starts",
            seen=f"The start opened {seen[0]}: {name} ran before `/ping` was 200.",
            todo="Move the installation from the entry point to a RUN of the Dockerfile. Every "
            "cold start waits for it, and an endpoint without a network (EnableNetworkIsolation) "
            "never starts.",
            show=seen[:3],
            claims=False,
            urgent=True,
            confidence=Confidence.CERTAIN,
        )


def late_loads(image: Image) -> Iterator[Found]:
    """Much of the image read only when the first request comes."""
    late = image.first_used_in(Stage.FIRST)
    large = {path: size for path, size in late.items() if size >= _LATE_BYTES // 10}
    chunks = image.inputs.recording.chunks.get(Stage.FIRST)
    waited = 0.0 if chunks is None else chunks.waited_s
    if sum(large.values()) < _LATE_BYTES and waited < _LATE_S:
        return
    names = sorted({_owner(image, path) for path in large or late})
    if not names:
        return
    yield Found(
        kind=AdviceKind.FIRST_REQUEST,
        title="Load before `/ping` answers 200 what the first request loads now",
        seen=f"The first request was the first to open {plural(len(late), 'file')}, "
        f"{format_bytes(sum(late.values()))}, of {listing(names)}"
        + (f", and waited {format_seconds(waited)} for them to be fetched." if waited else "."),
        todo="Import and load them, and predict once, before the server says that it is ready: the "
        "start takes as long, but no caller waits for it, and SageMaker sends none before.",
        show=sorted(large or late, key=lambda path: -late[path])[:5],
        claims=False,
        moved_s=waited,
        confidence=Confidence.LIKELY,
    )


def _owner(image: Image, path: str) -> str:
    manager, name = image.contents.entries[path].package
    return name if manager else path.rpartition("/")[2]


def workers(image: Image) -> Iterator[Found]:
    """As many processes as the machine has processors, because the image counts them."""
    cpus = image.inputs.cpus
    if cpus is None or cpus < 2 or any(map(_SETTING.fullmatch, image.environment)):
        return
    counting = [path for path, text in image.inputs.texts.items() if _counts(text)]
    alike = [
        (name, count) for name, count in image.inputs.processes.items() if count in {cpus, cpus + 1}
    ]
    if not counting or not alike:
        return
    name, count = alike[0]
    yield Found(
        kind=AdviceKind.WORKERS,
        title="Start one worker, whatever the machine has",
        seen=f"{count} processes {name} ran on a machine of {cpus} processors, and "
        f"{counting[0]} counts the processors. A serverless container sees more of them than it "
        "may use, and each worker imports and loads the model for itself.",
        todo="Let an environment variable say how many (MODEL_SERVER_WORKERS, 1 if it is not "
        "set), and preload the application where the server can (`gunicorn --preload`).",
        show=counting,
        claims=False,
        confidence=Confidence.LIKELY,
        risk="On an instance with many processors one worker answers one request at a time.",
    )


def _counts(text: str) -> bool:
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return _COUNTS.search(code) is not None and "worker" in code.lower()


def unused_imports(image: Image) -> Iterator[Found]:
    """A slow module that the application imports at its top and never names again."""
    for path, text in image.inputs.texts.items():
        tree = _tree(path, text)
        if tree is None or path.endswith("/__init__.py"):
            continue
        for bound, (module, line) in _top_imports(tree).items():
            package = _package_of(image, module)
            time = None if package is None else image.inputs.imports.get(package)
            seconds = 0.0 if time is None else time.cumulative_s
            excused = "noqa" in text.splitlines()[line - 1]
            if seconds < _IMPORT_S or excused or bound in _names(tree):
                continue
            if package is None or _imported_elsewhere(image, module, package, path):
                continue
            yield Found(
                kind=AdviceKind.UNUSED_IMPORT,
                title=f"Do not import {module} where it is not used",
                seen=f"{path} imports {module} in line {line} and does not use it; with all "
                f"that it brings that takes {format_seconds(seconds)}.",
                todo="Remove the line; or move it into the function that needs it.",
                show=[path],
                lines=[f"# {path}", f"- {text.splitlines()[line - 1].strip()}"],
                claims=False,
                import_s=seconds,
                confidence=Confidence.TRY,
                risk="Some modules do something when they are imported.",
            )


def _package_of(image: Image, module: str) -> Package | None:
    """Whose a top-level module is; None of the standard library's and the application's own."""
    for site in image.sites:
        for path in (f"{site}/{module}/__init__.py", f"{site}/{module}.py"):
            entry = image.contents.entries.get(path)
            if entry is not None:
                return entry.package
    return None


def _imported_elsewhere(image: Image, module: str, package: Package, path: str) -> bool:
    """By another of the application's programs, or needed by a package that the run used."""
    for other, text in image.inputs.texts.items():
        tree = _tree(other, text)
        if other != path and tree is not None and module in _modules(tree):
            return True
    users = {one for one, needs in image.contents.depends.items() if package in needs}
    return bool(users & {*image.used_packages})


def http_stack(image: Image) -> Iterator[Found]:
    """FastAPI where only what it has from Starlette is used."""
    seconds = sum(
        time.self_s
        for package, time in image.inputs.imports.items()
        if normal(package[1]) in _FASTAPIS_OWN
    )
    programs = {
        path: tree
        for path, text in image.inputs.texts.items()
        if (tree := _tree(path, text)) is not None
    }
    using = {path: tree for path, tree in programs.items() if "fastapi" in _modules(tree)}
    if seconds < _IMPORT_S or not using:
        return
    if any("pydantic" in _modules(tree) for tree in programs.values()):
        return
    if any(_needs_fastapi(tree) for tree in using.values()):
        return
    others = {
        normal(package[1])
        for package, needs in image.contents.depends.items()
        if package in image.used_packages
        for need in needs
        if normal(need[1]) in {"fastapi", "pydantic"}
    }
    if others - {"fastapi", "pydantic"}:
        return
    yield Found(
        kind=AdviceKind.HTTP_STACK,
        title="Serve with Starlette alone in place of FastAPI",
        seen=f"{listing([*using])} use nothing of FastAPI that Starlette has not, and importing "
        f"FastAPI and Pydantic takes {format_seconds(seconds)}.",
        todo='Use starlette.applications.Starlette with `Route("/ping", ping)` and '
        '`Route("/invocations", invocations, methods=["POST"])`; Uvicorn serves it alike.',
        show=[*using],
        claims=False,
        import_s=seconds,
        confidence=Confidence.TRY,
        risk="/docs and /openapi.json are gone; errors have Starlette's words.",
    )


def _needs_fastapi(tree: ast.Module) -> bool:
    """Parameters by type, models, dependencies: anything but requests and responses."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fastapi":
            part = (node.module or "").removeprefix("fastapi").lstrip(".")
            names = {alias.name for alias in node.names}
            if part not in {"", "responses", "requests"} or (not part and names - _STARLETTES):
                return True
        if isinstance(node, ast.Import) and any(one.name == "fastapi" for one in node.names):
            return True  # what it names of it is not followed
        if isinstance(node, ast.keyword) and node.arg in {"response_model", "dependencies"}:
            return True
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_route(node):
            given = [*node.args.args, *node.args.kwonlyargs]
            if any("Request" not in ast.dump(one.annotation or ast.Pass()) for one in given):
                return True
    return False


def _is_route(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    verbs = {"get", "post", "put", "api_route", "delete", "patch"}
    return any(
        isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr in verbs
        for one in node.decorator_list
    )


def _tree(path: str, text: str) -> ast.Module | None:
    if not (path.endswith(".py") or re.match(r"#!.*python", text)):
        return None
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def _modules(tree: ast.Module) -> Collection[str]:
    """Top-level names of all that it imports, wherever."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


def _top_imports(tree: ast.Module) -> Mapping[str, tuple[str, int]]:
    """By the name that a module is bound to: the module, and the line."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            for one in node.names:
                module = one.name.partition(".")[0]
                found[one.asname or module] = (module, node.lineno)
    return found


def _names(tree: ast.Module) -> Collection[str]:
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    # Of __all__ and of annotations in quotes.
    strings = {
        word
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for word in re.findall(r"\w+", node.value)
    }
    return used | strings
