"""Whose each file of an image is, and which package needs which."""

import io
import json
import zipfile

import pytest

from lab.advice.contents import Contents
from lab.advice.image.read import contents_of
from lab.images.layers.packages import Package
from tests.unit.images.layers.archives import Files, in_chunks, link, saved

SITE = "opt/venv/lib/python3.13/site-packages"
STATUS = "var/lib/dpkg/status"


def contents(*layers: Files) -> Contents:
    return contents_of(in_chunks(saved(layers), 65536), image="x", image_id="y")


def owners(*layers: Files) -> dict[str, Package]:
    return {path: one.package for path, one in contents(*layers).entries.items()}


def wheel(name: str, *needs: str, files: str = "") -> dict[str, bytes]:
    """A Python package of one module."""
    info = f"{SITE}/{name}-1.0.dist-info"
    lines = "".join(f"Requires-Dist: {one}\n" for one in needs)
    record = f"{name}/__init__.py,,\n{files}{name}-1.0.dist-info/METADATA,,\n"
    return {
        f"{SITE}/{name}/__init__.py": b"1",
        f"{info}/METADATA": f"Name: {name}\nVersion: 1.0\n{lines}\nRequires-Dist: prose\n".encode(),
        f"{info}/RECORD": record.encode(),
    }


def node(folder: str, version: str = "1.0.0", **needs: dict[str, str]) -> dict[str, bytes]:
    return {f"{folder}/package.json": json.dumps({"version": version, **needs}).encode()}


def test_debian_s_list_of_a_lower_layer_knows_files_wherever_its_folders_went() -> None:
    found = owners(
        {
            "var/lib/dpkg/info/libz1:amd64.list": b"/.\n/lib\n/lib/libz.so.1\n/opt/old/doc\n",
            "lib": link("usr/lib"),
            "usr/lib/libz.so.1": b"1",
            "usr/lib/libz.so": link("libz.so.1"),
        },
        {"opt/new/doc": b"2", "opt/old": link("/opt/new"), "usr/lib/other": b"3"},
    )
    assert found["/usr/lib/libz.so.1"] == ("Debian", "libz1")
    assert found["/opt/new/doc"] == ("Debian", "libz1")
    assert found["/usr/lib/libz.so"] == ("Debian", "libz1"), "a link is of what it leads to"
    assert found["/usr/lib/other"] == ("", "/usr/lib")


def test_a_file_that_was_moved_is_its_folder_s() -> None:
    found = owners(wheel("yaml"), {f"{SITE}/yaml/.wh.__init__.py": b"", "srv/__init__.py": b"1"})
    assert found["/srv/__init__.py"] == ("", "/srv")
    assert f"/{SITE}/yaml/__init__.py" not in found


def test_byte_code_is_its_source_s_and_what_was_made_in_a_package_s_folder_the_package_s() -> None:
    found = owners(
        wheel("six", files="six_more.py,,\n"),
        {
            f"{SITE}/six_more.py": b"1",
            f"{SITE}/__pycache__/six_more.cpython-313.opt-1.pyc": b"2",
            f"{SITE}/six/cache/x": b"3",
            f"{SITE}/loose/y.py": b"4",
        },
    )
    six = ("Python", "six 1.0")
    assert found[f"/{SITE}/__pycache__/six_more.cpython-313.opt-1.pyc"] == six
    assert found[f"/{SITE}/six/cache/x"] == six
    assert found[f"/{SITE}/six"] == six, "a folder is of the only package that has files in it"
    assert found[f"/{SITE}/loose/y.py"] == ("Python", "loose")
    assert found[f"/{SITE}"] == ("", f"/{SITE}")


def test_a_python_package_that_was_installed_elsewhere_is_known_by_its_record_as_well() -> None:
    found = owners(
        {
            "opt/lambda/six.py": b"1",
            "opt/lambda/six-1.17.dist-info/RECORD": b"six.py,,\n",
            "opt/lambda/own.py": b"2",
        }
    )
    assert found["/opt/lambda/six.py"] == ("Python", "six 1.17")
    assert found["/opt/lambda/own.py"] == ("", "/opt/lambda")


def test_a_namespace_that_packages_share_is_of_none_of_them() -> None:
    found = owners(
        wheel("a", files="google/a.py,,\n"),
        wheel("b", files="google/b.py,,\n"),
        {f"{SITE}/google/a.py": b"", f"{SITE}/google/b.py": b"", f"{SITE}/google/c.py": b"1"},
    )
    assert found[f"/{SITE}/google/a.py"] == ("Python", "a 1.0")
    assert found[f"/{SITE}/google/c.py"] == ("Python", "google")


def test_conda_s_word_goes_before_python_s_and_either_before_debian_s() -> None:
    listed = f"/{SITE}/yaml/__init__.py\n/{SITE}/yaml-1.0.dist-info/METADATA\n".encode()
    debian = {"var/lib/dpkg/info/python3-yaml.list": listed}
    place = f"/{SITE}/yaml/__init__.py"
    assert owners(debian, {place[1:]: b"1"})[place] == ("Debian", "python3-yaml")
    assert owners(debian, wheel("yaml"))[place] == ("Python", "yaml 1.0")
    noted = {"name": "pyyaml", "version": "6", "files": [place.removeprefix("/opt/venv/")]}
    conda = {"opt/venv/conda-meta/pyyaml-6-py_0.json": json.dumps(noted).encode()}
    assert owners(debian, wheel("yaml"), conda)[place] == ("conda", "pyyaml 6")


def test_node_s_packages_are_told_apart_by_folder_and_version() -> None:
    app = "srv/app/node_modules"
    found = owners(
        node(f"{app}/a", "2.0.0"),
        node(f"{app}/@s/b"),
        node(f"{app}/@s/b/node_modules/a", "1.0.0"),
        {
            f"{app}/a/lib/x.js": b"1",
            f"{app}/@s/b/esm/package.json": b"{}",
            f"{app}/@s/b/node_modules/a/x.js": b"2",
            f"{app}/.bin/a": link("../a/lib/x.js"),
            "var/lib/dpkg/info/nodejs.list": f"/{app}/a/lib/x.js\n".encode(),
        },
    )
    assert found[f"/{app}/a/lib/x.js"] == ("Node", "a 2.0.0")
    assert found[f"/{app}/@s/b/esm/package.json"] == ("Node", "@s/b 1.0.0")
    assert found[f"/{app}/@s/b/node_modules/a/x.js"] == ("Node", "a 1.0.0")
    assert found[f"/{app}/.bin/a"] == ("Node", "a 2.0.0")


def test_r_s_packages_are_their_folders_unless_debian_brought_them() -> None:
    library = "usr/local/lib/R/site-library"
    found = owners(
        {
            f"{library}/plumber/DESCRIPTION": b"Package: plumber\nVersion: 1.2\n",
            f"{library}/plumber/R/plumber.rdb": b"1",
            "usr/lib/R/library/base/DESCRIPTION": b"Package: base\nVersion: 4.5\n",
            "var/lib/dpkg/info/r-base-core.list": b"/usr/lib/R/library/base/DESCRIPTION\n",
        }
    )
    assert found[f"/{library}/plumber/R/plumber.rdb"] == ("R", "plumber 1.2")
    assert found["/usr/lib/R/library/base/DESCRIPTION"] == ("Debian", "r-base-core")


@pytest.mark.parametrize(
    ("path", "inside", "name"),
    [
        ("opt/lib/netty-all-4.1.9.Final.jar", {}, "netty-all 4.1.9.Final"),
        (
            "opt/lib/server.jar",
            {"META-INF/maven/g/server/pom.properties": "artifactId=mms\nversion=1.1.11\n"},
            "mms 1.1.11",
        ),
        (
            "opt/lib/fat.jar",
            {
                "META-INF/maven/g/a/pom.properties": "artifactId=a\nversion=1\n",
                "META-INF/maven/g/b/pom.properties": "artifactId=b\nversion=2\n",
                "META-INF/MANIFEST.MF": "Manifest-Version: 1.0\r\nImplementation-Version: 7\r\n",
            },
            "fat 7",
        ),
        ("opt/lib/odd.jar", None, "odd"),
    ],
)
def test_a_jar_is_named_by_its_file_or_by_what_is_in_it(
    path: str, inside: dict[str, str] | None, name: str
) -> None:
    data = io.BytesIO(b"no archive")
    if inside is not None:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as jar:
            for entry, text in inside.items():
                jar.writestr(entry, text)
    assert owners({path: data.getvalue()})[f"/{path}"] == ("Java", name)


def test_what_lies_loose_in_python_s_library_is_its_folder_s() -> None:
    found = owners({"usr/lib/python3.13/PIL/x.so": b"1", "usr/lib/python3.13/os.pyc": b"2"})
    assert found["/usr/lib/python3.13/PIL/x.so"] == ("", "/usr/lib/python3.13/PIL")
    assert found["/usr/lib/python3.13/os.pyc"] == ("", "/usr/lib/python3.13")


def test_debian_s_needs_take_the_first_choice_that_is_there_and_what_provides_it() -> None:
    stanzas = """\
Package: web
Status: install ok installed
Depends: libc6 (>= 2.3), gone | shell:any, awk
Pre-Depends: init

Package: libc6
Status: install ok installed

Package: dash
Status: install ok installed
Provides: shell (= 1), sh

Package: mawk
Status: install ok installed
Provides: awk

Package: gone
Status: deinstall ok config-files
Depends: libc6
"""
    lists: Files = {
        f"var/lib/dpkg/info/{name}.list": f"/usr/bin/{name}\n".encode()
        for name in ("web", "libc6", "dash", "mawk", "gone")
    }
    files: Files = {f"usr/bin/{name}": b"1" for name in ("web", "libc6", "dash", "mawk")}
    found = contents({STATUS: stanzas.encode()}, lists, files)
    assert found.depends == {
        ("Debian", "web"): [("Debian", "dash"), ("Debian", "libc6"), ("Debian", "mawk")]
    }


def test_a_distroless_image_s_packages_are_known_by_their_own_files() -> None:
    found = contents(
        {
            "var/lib/dpkg/status.d/a": b"Package: a\nDepends: b\n",
            "var/lib/dpkg/status.d/a.md5sums": b"d41d  usr/bin/a\n",
            "var/lib/dpkg/status.d/b": b"Package: b\n",
            "var/lib/dpkg/status.d/b.md5sums": b"d41d  usr/bin/b\n",
            "usr/bin/a": b"1",
            "usr/bin/b": b"1",
        }
    )
    assert found.entries["/usr/bin/a"].package == ("Debian", "a")
    assert found.depends == {("Debian", "a"): [("Debian", "b")]}


def test_python_s_needs_leave_out_extras_that_nobody_asks_for() -> None:
    found = contents(
        wheel(
            "app", 'Web_Server[fast] (>=1); python_version > "3"', "absent", 'dev; extra == "dev"'
        ),
        wheel("web_server", "base", 'loop; extra == "fast"', 'docs; extra == "docs"'),
        wheel("base"),
        wheel("loop"),
        wheel("docs"),
        wheel("dev"),
        wheel("prose"),
    )
    assert found.depends == {
        ("Python", "app 1.0"): [("Python", "loop 1.0"), ("Python", "web_server 1.0")],
        ("Python", "web_server 1.0"): [("Python", "base 1.0")],
    }


def test_node_s_needs_are_found_in_the_nearest_folder_upwards() -> None:
    app = "srv/node_modules"
    found = contents(
        node(f"{app}/x", dependencies={"a": "*", "none": "*"}, devDependencies={"dev": "*"}),
        node(f"{app}/y", dependencies={"a": "*"}, optionalDependencies={"x": "*"}),
        node(f"{app}/y/node_modules/a", "2.0.0"),
        node(f"{app}/a", "1.0.0"),
        node(f"{app}/dev"),
        {"srv/package.json": b'{"dependencies": {"x": "*"}}'},
    )
    assert found.depends == {
        ("Node", "x 1.0.0"): [("Node", "a 1.0.0")],
        ("Node", "y 1.0.0"): [("Node", "a 2.0.0"), ("Node", "x 1.0.0")],
    }
    assert found.texts == {"/srv/package.json": '{"dependencies": {"x": "*"}}'}


def test_r_and_conda_tell_their_needs() -> None:
    library = "usr/lib/R/site-library"
    meta = "opt/conda/conda-meta"
    found = contents(
        {
            f"{library}/a/DESCRIPTION": b"Package: a\nVersion: 1\nDepends: R (>= 3), b\n"
            b"Imports: c (>= 2),\n  none\nSuggests: d\n",
            f"{library}/b/DESCRIPTION": b"Package: b\nVersion: 1\nLinkingTo: c\n",
            f"{library}/c/DESCRIPTION": b"Package: c\nVersion: 2\n",
            f"{library}/d/DESCRIPTION": b"Package: d\nVersion: 2\n",
            f"{meta}/x-1-0.json": json.dumps(
                {"name": "x", "version": "1", "depends": ["y >=2", "z"], "files": ["x.so"]}
            ).encode(),
            f"{meta}/y-2-0.json": json.dumps(
                {"name": "y", "version": "2", "files": ["y.so"]}
            ).encode(),
            "opt/conda/x.so": b"1",
            "opt/conda/y.so": b"1",
        }
    )
    assert found.depends == {
        ("R", "a 1"): [("R", "b 1"), ("R", "c 2")],
        ("R", "b 1"): [("R", "c 2")],
        ("conda", "x 1"): [("conda", "y 2")],
    }
