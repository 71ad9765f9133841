"""What is in an image's layers: whose bytes, what nobody sees, what only the build needed."""

import io
import json
import tarfile
from collections.abc import Sequence

import pytest
from rich.console import Console

from lab.cli.layer_tables import inside_tables
from lab.images.layers.ballast import kind_of
from lab.images.layers.hidden import hidden
from lab.images.layers.inside import as_data, inside
from lab.images.layers.leftovers import leftovers
from lab.images.layers.saved import LookFor, Saved, read
from tests.unit.images.layers.archives import Files, in_chunks, packed, saved

SITE = "opt/venv/lib/python3.13/site-packages"


def image(layers: Sequence[Files], *commands: str, compressed: bool = False) -> Saved:
    data = saved(layers, commands=commands, compressed=compressed)
    return read(in_chunks(data, 65536), LookFor(secrets=False, packages=True))


def packages(files: Files) -> dict[tuple[str, str], int]:
    return dict(image([files]).layers[0].packages)


def test_a_python_package_has_all_that_it_recorded_and_what_was_compiled_of_it() -> None:
    record = "yaml/__init__.py,sha256=x,3\n_yaml/e.so,,\n../../../bin/yaml,,\n"
    record += "PyYAML-6.0.2.dist-info/RECORD,,\n"
    files = {
        f"{SITE}/PyYAML-6.0.2.dist-info/RECORD": record.encode(),
        f"{SITE}/yaml/__init__.py": bytes(100),
        f"{SITE}/yaml/__pycache__/__init__.cpython-313.pyc": bytes(50),
        f"{SITE}/_yaml/e.so": bytes(30),
        "opt/venv/bin/yaml": bytes(7),
        f"{SITE}/loose/x.py": bytes(2),
    }
    found = packages(files)
    assert found["Python", "PyYAML 6.0.2"] == 100 + 50 + 30 + 7 + len(record)
    assert found["Python", "loose"] == 2


def test_a_debian_package_has_what_dpkg_lists_wherever_the_folder_is_a_link_to() -> None:
    files = {
        "var/lib/dpkg/info/libz1:amd64.list": b"/.\n/lib/x/libz.so.1\n/usr/share/doc/libz1/c\n",
        "usr/lib/x/libz.so.1": bytes(40),
        "usr/share/doc/libz1/c": bytes(2),
    }
    assert packages(files)["Debian", "libz1"] == 42


@pytest.mark.parametrize(
    ("path", "package"),
    [
        ("app/node_modules/express/lib/x.js", ("Node", "express")),
        ("app/node_modules/@aws/sdk/node_modules/@a/b/x.js", ("Node", "@a/b")),
        ("usr/local/lib/R/site-library/plumber/R/plumber.rdb", ("R", "plumber")),
        ("usr/lib/R/library/base/R/base", ("R", "base")),
        (f"{SITE}/six.py", ("Python", "six")),
        ("opt/app/server/main.py", ("", "/opt/app/server")),
    ],
)
def test_what_nobody_lists_is_known_by_its_place(path: str, package: tuple[str, str]) -> None:
    assert packages({path: b"12"}) == {package: 2}


def test_a_conda_package_has_what_conda_noted() -> None:
    noted = json.dumps({"files": ["lib/libopenblas.so"]}).encode()
    files = {
        "opt/conda/conda-meta/libopenblas-0.3.2-h1_0.json": noted,
        "opt/conda/lib/libopenblas.so": bytes(9),
    }
    assert packages(files)["conda", "libopenblas 0.3.2"] == 9


def test_what_a_later_layer_hides_is_told_with_the_nearest_that_does() -> None:
    layers = [
        {"a/x": bytes(10), "a/y": bytes(5), "b/z": bytes(3), "kept": bytes(1), "c/d/e": bytes(2)},
        {"a/x": bytes(10), "b/.wh..wh..opq": b"", ".wh.c": b""},
        {".wh.a": b"", "b/z": bytes(3)},
    ]
    found = hidden(image(layers))
    assert [(one.path, one.size, one.layer, one.removed) for one in found[0]] == [
        ("a/x", 10, 2, False),
        ("a/y", 5, 3, True),
        ("b/z", 3, 2, True),
        ("c/d/e", 2, 2, True),
    ]
    assert [(one.path, one.layer) for one in found[1]] == [("a/x", 3)]
    assert found[2] == []


@pytest.mark.parametrize(
    ("path", "what", "folder"),
    [
        ("var/cache/apt/archives/x.deb", "apt's archives", "var/cache/apt/archives"),
        ("var/lib/apt/lists/x", "apt's lists", "var/lib/apt/lists"),
        ("root/.cache/pip/http/x", "pip's cache", "root/.cache/pip"),
        ("home/me/.npm/_cacache/x", "npm's cache", "home/me/.npm"),
        ("opt/conda/pkgs/numpy/x", "conda's packages", "opt/conda/pkgs"),
        ("tmp/RtmpA1/downloaded_packages/x.tar.gz", "R's downloads", "tmp/RtmpA1"),
        ("usr/lib/gcc/x86_64-linux-gnu/14/cc1", "the compiler", "usr/lib/gcc"),
        ("opt/app/.git/objects/x", "a repository's history", "opt/app/.git"),
        (f"{SITE}/numpy/_core/tests/x.py", "tests of Python packages", f"{SITE}/numpy/_core/tests"),
        ("var/cache/apk/x", "apk's cache", "var/cache/apk"),
        ("tmp/x", "temporary files", "tmp"),
    ],
)
def test_each_cache_is_known_with_its_folder(path: str, what: str, folder: str) -> None:
    known = kind_of(path)
    assert known is not None
    assert (known[0].name, known[1]) == (what, folder)


def test_what_belongs_there_is_no_leftover() -> None:
    for path in (
        "usr/bin/python3",
        f"{SITE}/numpy/testing/x.py",
        "opt/app/tests/x.py",
        "usr/tmpl/x",
    ):
        assert kind_of(path) is None


def test_a_cure_knows_what_its_step_does_already_and_who_comes_too_late() -> None:
    pip = {"root/.cache/pip/x": bytes(9)}
    (copied,) = leftovers(image([pip], "COPY /root /root"))
    assert copied.change.endswith("before layer 1 copies it")
    (early,) = leftovers(image([pip], "RUN pip install --no-cache-dir a && pip install b"))
    assert "the step has the like, but something in it" in early.change
    (late,) = leftovers(image([pip, {"root/.wh..cache": b""}], "RUN pip install a", "RUN rm"))
    assert (late.gone_in, "in layer 2 it is too late" in late.change) == (2, True)
    (base,) = leftovers(image([pip], "imported"))
    assert base.change.startswith("take a base without it")


def test_conda_s_packages_that_are_in_use_under_another_name_are_no_ballast() -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, target in (("opt/conda/pkgs/a/x", ""), ("opt/conda/lib/x", "opt/conda/pkgs/a/x")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = (tarfile.LNKTYPE, target) if target else (b"0", "")
            member.size = 0 if target else 9
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    config = json.dumps({"history": [{"created_by": "RUN conda install a"}]}).encode()
    said = json.dumps([{"Config": "c.json", "Layers": ["l/layer.tar"]}]).encode()
    whole = packed({"c.json": config, "l/layer.tar": data.getvalue(), "manifest.json": said})
    found = read(in_chunks(whole))
    assert leftovers(found) == []
    assert found.layers[0].files["opt/conda/lib/x"] == 9


def test_the_whole_is_told_to_people_and_to_programs() -> None:
    token = "ghp_" + "aB3dE6gH9j" * 3 + "aB3dE6"
    layers = [
        {"var/lib/apt/lists/x": bytes(3_000_000), "usr/bin/tool": bytes(2_000_000)},
        {"usr/bin/tool": bytes(2_500_000)},
    ]
    found = inside(image(layers, f"RUN curl -H 'Key: {token}' x", "RUN strip", compressed=True))
    data = as_data(found)
    assert (data["unpacked_bytes"], data["hidden_bytes"], data["leftover_bytes"]) == (
        7_500_000,
        2_000_000,
        3_000_000,
    )
    first = json.loads(json.dumps(data))["layers"][0]
    assert first["largest"][0] == {"path": "/var/lib/apt/lists/x", "bytes": 3_000_000}
    assert first["hidden"][0]["by_layer"] == 2
    assert first["compressed_bytes"] > 0
    console = Console(width=120)
    with console.capture() as captured:
        console.print(inside_tables("me:1", found))
    shown = captured.get()
    assert "/usr/bin/tool (replaced by layer 2)" in shown
    assert "Run `rm -rf /var/lib/apt/lists/*` in layer 1's step." in shown
    for text in (shown, json.dumps(data)):
        assert token[4:12] not in text
        assert "RUN curl -H 'Key: ***" in text
