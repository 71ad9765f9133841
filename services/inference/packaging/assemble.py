"""Put together the file system of `onnx-slim`: an interpreter, what it imports, and nothing else.

Runs in a build stage that holds Debian's Python, binutils and the unpacked wheels:

    assemble.py WHEELS ROOT

* the standard library, less what a server never imports, as bytecode without sources: nothing is
  compiled or compared with its source at the start, and docstrings are not loaded (level 2);
* Pillow with what JPEG and PNG need, prometheus-client, and of onnxruntime the C library alone;
* exactly the shared libraries that these need, found by asking the dynamic linker;
* all of it stripped of symbols, with the linker's cache written, since no tool is left to write it.
"""

import os
import py_compile
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent

# Lists of names, kept as words so that they can be read.
WORDS: Final = {
    key: frozenset(value.split())
    for key, value in tomllib.loads((HERE / "onnx-slim.toml").read_text(encoding="utf-8")).items()
}


def main(wheels: Path, root: Path) -> None:
    """Fill ``root``."""
    interpreter = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    target = root / library.relative_to("/")

    lay_out(root)
    place(interpreter, root / interpreter.relative_to("/"))
    (root / "usr/bin/python3").symlink_to(interpreter.name)
    compile_tree(library, target, standard_library(library))
    for extension in extensions(library / "lib-dynload"):
        place(extension, target / "lib-dynload" / extension.name)

    # Beside the standard library: one folder to look into, and no `site` to find another.
    compile_tree(wheels, target, pillow(wheels))
    compile_tree(wheels, target, sorted((wheels / "prometheus_client").rglob("*.py")))
    compile_tree(HERE, target, [HERE / "ssl.py"])
    core = next((wheels / "PIL").glob("_imaging.*.so"))
    place(core, target / "PIL" / core.name)
    (runtime,) = (wheels / "onnxruntime/capi").glob("libonnxruntime.so.*")
    place(runtime, root / "usr/lib/libonnxruntime.so")

    bring_libraries(root, home=target, origin=wheels)
    strip(elf_files(root))
    subprocess.run(["/usr/sbin/ldconfig", "-r", str(root)], check=True)
    (root / "var/cache/ldconfig/aux-cache").unlink(missing_ok=True)


def lay_out(root: Path) -> None:
    """The folders that programs expect, the links of a merged /usr, and two users' names."""
    for folder in ("etc", "opt/ml/model", "proc", "root", "sys", "dev", "usr/bin",
                   "usr/lib", "usr/lib64", "var/cache/ldconfig"):  # fmt: skip
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:\nnobody:x:65534:65534:nobody:/nonexistent:\n"
    )
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    for name in ("ld.so.conf", "ld.so.conf.d"):
        source = Path("/etc") / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, root / "etc" / name)


def standard_library(library: Path) -> Iterator[Path]:
    """The sources that stay."""
    for path in sorted(library.rglob("*.py")):
        inside = path.relative_to(library)
        top = inside.parts[0].removesuffix(".py")
        if top in WORDS["unused_modules"] or top == "dist-packages" or top.startswith("config-"):
            continue
        if top == "encodings" and inside.stem not in WORDS["encodings"]:
            continue
        if {"tests", "test", "idle_test", "__pycache__"} & set(inside.parts):
            continue
        yield path


def extensions(folder: Path) -> Iterator[Path]:
    """The extension modules that stay."""
    for path in sorted(folder.glob("*.so")):
        if path.name.partition(".")[0] not in WORDS["unused_extensions"]:
            yield path


def pillow(wheels: Path) -> Iterator[Path]:
    """The modules of Pillow that stay."""
    for path in sorted((wheels / "PIL").glob("*.py")):
        if path.stem in WORDS["pillow"]:
            yield path


def compile_tree(source: Path, target: Path, files: Iterable[Path]) -> None:
    """Write bytecode where the sources would lie; no header check, no docstrings, no source."""
    for path in files:
        inside = path.relative_to(source)
        py_compile.compile(
            str(path),
            cfile=str((target / inside).with_suffix(".pyc")),
            dfile=str(inside),  # as a traceback shows it
            doraise=True,
            optimize=2,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )


def place(source: Path, target: Path) -> None:
    """Copy a program or library with its mode."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    target.chmod(0o755)


def elf_files(root: Path) -> list[Path]:
    """Every program and library below ``root``."""
    return [
        path
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.open("rb").read(4) == b"\x7fELF"
    ]


def bring_libraries(root: Path, *, home: Path, origin: Path) -> None:
    """Copy what the ELF files need until nothing is missing.

    Libraries that a wheel brings stand beside it (``$ORIGIN/../pillow.libs``) and keep that place:
    what lay in ``origin`` now lies in ``home``. The system's keep theirs.
    """
    asked: set[Path] = set()
    while todo := [path for path in elf_files(root) if path not in asked]:
        for path in todo:
            asked.add(path)
            for library in linked(original(path, root=root, home=home, origin=origin)):
                if library.is_relative_to(origin):
                    target = home / library.relative_to(origin)
                else:
                    # /lib and /usr/lib are one: keep one copy, under the name that is asked for.
                    folder = library.parent.resolve().relative_to("/")
                    target = root / folder / library.name
                if not target.exists():
                    place(library.resolve(), target)
    # A program names its linker by a path of its own (/lib64/ld-linux-x86-64.so.2).
    for linker in Path("/usr").glob("lib*/ld-linux*"):
        link = root / linker.relative_to("/")
        if not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(root / linker.resolve().relative_to("/"), link.parent))


def original(path: Path, *, root: Path, home: Path, origin: Path) -> Path:
    """Where a file stood before it was copied: there, its ``$ORIGIN`` means what it meant."""
    if path.is_relative_to(home) and (origin / path.relative_to(home)).exists():
        return origin / path.relative_to(home)
    there = Path("/") / path.relative_to(root)
    return there if there.exists() else path


def linked(path: Path) -> list[Path]:
    """The libraries that the dynamic linker finds for a file. Fails when one is missing."""
    words = subprocess.run(
        ["/usr/bin/ldd", str(path)], check=False, capture_output=True, text=True
    ).stdout
    if "not found" in words:
        sys.exit(f"{path} needs a library that is not here:\n{words}")
    found = []
    for line in words.splitlines():
        name = line.partition("=>")[2] or line
        name = name.strip().partition(" (")[0]
        if name.startswith("/"):
            found.append(Path(os.path.normpath(name)))
    return found


def strip(files: Iterable[Path]) -> None:
    """Remove what only debuggers and linkers at build time read."""
    subprocess.run(["/usr/bin/strip", "--strip-unneeded", *map(str, files)], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
