"""What stays of a hand-made image, path by path and byte by byte."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from lab.advice.contents import Contents
from lab.advice.slim.select import Level, Selection, Selector
from tests.unit.advice.slim.images import contents, file, folder, link, recording

PYTHON = ("Debian", "python3")
LIBC = ("Debian", "libc6")
PERL = ("Debian", "perl-base")
NUMPY = ("Python", "numpy 2.0")
BOARD = ("Python", "tensorboard 2.0")
SITE = "/usr/lib/python3/dist-packages"


def image() -> Contents:
    return contents(
        file("/usr/bin/python3", 100, PYTHON, mode=0o755),
        file("/usr/lib/libc.so.6", 200, LIBC, mode=0o755),
        file("/usr/lib/ld-linux-x86-64.so.2", 20, LIBC, mode=0o755),
        link("/lib", "usr/lib"),
        link("/lib64", "usr/lib"),
        file("/usr/lib/libc_extra.so", 40, LIBC),
        file("/usr/share/doc/libc6/copyright", 7, LIBC),
        file("/usr/bin/perl", 300, PERL, mode=0o755),
        file("/usr/share/doc/perl/copyright", 8, PERL),
        file(f"{SITE}/numpy/core.py", 50, NUMPY),
        file(f"{SITE}/numpy/tests/test_core.py", 500, NUMPY),
        file(f"{SITE}/numpy-2.0.dist-info/METADATA", 5, NUMPY),
        file(f"{SITE}/tensorboard/main.py", 900, BOARD),
        file(f"{SITE}/tensorboard-2.0.dist-info/METADATA", 6, BOARD),
        file("/etc/nsswitch.conf", 3),
        file("/usr/lib/libnss_dns.so.2", 30, LIBC),
        file("/srv/data/one", 11, ("", "/srv/data")),
        folder("/tmp"),
        folder("/opt/ml/model"),
        depends={PYTHON: [LIBC], NUMPY: [PYTHON]},
    )


def chosen(
    image: Contents,
    touched: Sequence[str],
    *,
    level: Level,
    keep: Sequence[str] = (),
    also: Sequence[str] = (),
    heads: Mapping[str, bytes] | None = None,
) -> Selection:
    selector = Selector(
        image,
        [recording(touched)],
        level=level,
        keep=keep,
        head=lambda path: (heads or {}).get(path, b""),
    )
    return selector.select(also)


def removed(selection: Selection) -> set[str]:
    return {one.path for one in selection.removed}


def test_whole_packages_go_that_nothing_touched_and_nothing_touched_depends_on() -> None:
    found = chosen(image(), [f"{SITE}/numpy/core.py"], level=Level.PACKAGES)
    assert removed(found) == {
        "/usr/bin/perl",
        "/usr/share/doc/perl",
        "/usr/share/doc/perl/copyright",
        f"{SITE}/tensorboard",
        f"{SITE}/tensorboard/main.py",
        f"{SITE}/tensorboard-2.0.dist-info",
        f"{SITE}/tensorboard-2.0.dist-info/METADATA",
        "/srv",
        "/srv/data",
        "/srv/data/one",
    }
    assert found.removed_bytes == 300 + 8 + 900 + 6 + 11
    assert found.kept_bytes == image().unpacked_bytes - found.removed_bytes
    assert list(found.removed_by_package) == [BOARD, PERL, ("", "/srv/data")]


def test_of_files_only_the_touched_stay_and_what_no_recorder_sees() -> None:
    found = chosen(image(), [f"{SITE}/numpy/core.py", "/usr/bin/python3"], level=Level.FILES)
    assert {one.path for one in image().entries.values()} - removed(found) == {
        "/usr",
        "/usr/bin",
        "/usr/bin/python3",
        "/usr/lib",
        "/lib",
        "/lib64",
        "/usr/lib/ld-linux-x86-64.so.2",
        "/usr/lib/libnss_dns.so.2",
        "/usr/share",
        "/usr/share/doc",
        "/usr/share/doc/libc6",
        "/usr/share/doc/libc6/copyright",
        "/usr/lib/python3",
        SITE,
        f"{SITE}/numpy",
        f"{SITE}/numpy/core.py",
        f"{SITE}/numpy-2.0.dist-info",
        f"{SITE}/numpy-2.0.dist-info/METADATA",
        "/etc",
        "/etc/nsswitch.conf",
        "/tmp",
        "/opt",
        "/opt/ml",
        "/opt/ml/model",
    }


def test_what_a_mend_found_brings_its_package_back_or_the_file_alone() -> None:
    touched = [f"{SITE}/numpy/core.py"]
    lost = f"{SITE}/tensorboard/main.py"
    whole = chosen(image(), touched, level=Level.PACKAGES, also=[lost])
    assert not {one for one in removed(whole) if "tensorboard" in one}
    alone = chosen(image(), touched, level=Level.FILES, also=["/srv/data/one"])
    assert "/srv/data/one" in alone.kept
    assert "/usr/bin/perl" not in alone.kept


def test_a_glob_of_the_users_keeps_a_folder_with_all_that_is_in_it() -> None:
    found = chosen(image(), [], level=Level.FILES, keep=[f"{SITE}/tensor*", "/srv/*"])
    assert {f"{SITE}/tensorboard/main.py", "/srv/data/one"} <= found.kept
    assert f"{SITE}/numpy/core.py" not in found.kept


def test_a_link_keeps_what_it_leads_to_and_what_is_kept_keeps_the_links_to_it() -> None:
    made = contents(
        file("/data/real/file", 4),
        link("/data/current", "real"),
        link("/data/name", "current/file"),
        link("/data/other", "nowhere"),
        link("/data/away", "/data/lost"),
        file("/data/lost", 5),
    )
    found = chosen(made, ["/data/name"], level=Level.FILES)
    assert removed(found) == {"/data/other", "/data/away", "/data/lost"}
    assert chosen(made, ["/data/real/file"], level=Level.FILES).kept == found.kept


def test_a_link_in_a_circle_ends_the_search() -> None:
    made = contents(link("/a", "b"), link("/b", "a"), file("/c"))
    assert chosen(made, ["/a"], level=Level.FILES).kept >= {"/a", "/b"}


def test_every_name_of_a_file_stays_with_any_of_them() -> None:
    made = contents(
        file("/bin/git", 9), file("/bin/git-add", twin_of="/bin/git"), file("/bin/other", 3)
    )
    found = chosen(made, ["/bin/git-add"], level=Level.FILES)
    assert removed(found) == {"/bin/other"}


def elf(interpreter: str) -> bytes:
    name = interpreter.encode() + b"\0"
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    head = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    program = struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, len(name), len(name), 1)
    return ident + head + program + name


def test_what_the_kernel_starts_for_a_touched_program_stays_although_no_call_shows_it() -> None:
    made = contents(
        file("/app/serve", 9, mode=0o755),
        file("/opt/sh", 8, mode=0o755),
        file("/opt/loader.so", 7, mode=0o755),
        file("/opt/else", 6, mode=0o755),
    )
    heads = {"/app/serve": b"#!/opt/sh -e\n", "/opt/sh": elf("/opt/loader.so")}
    found = chosen(made, ["/app/serve"], level=Level.FILES, heads=heads)
    assert removed(found) == {"/opt/else"}


def test_the_locale_and_the_time_zone_that_the_image_names_stay() -> None:
    places = (
        "/usr/lib/locale/de_DE.utf8/LC_TIME",
        "/usr/lib/locale/fr_FR.utf8/LC_TIME",
        "/usr/lib/locale/C.utf8/LC_CTYPE",
        "/usr/share/zoneinfo/Europe/Berlin",
        "/usr/share/zoneinfo/Asia/Tokyo",
        "/usr/share/zoneinfo/UTC",
    )
    made = contents(
        *map(file, places), config={"Env": ["LANG=de_DE.UTF-8", "TZ=Europe/Berlin", "PATH=/bin"]}
    )
    gone = removed(chosen(made, [], level=Level.FILES))
    assert {one for one in gone if made.entries[one].size} == {places[1], places[4]}


def test_the_folders_that_the_configuration_names_stay_though_nothing_is_left_in_them() -> None:
    made = contents(
        file("/work/readme", 1),
        file("/data/big", 9),
        file("/else/big", 9),
        config={"WorkingDir": "/work", "Volumes": {"/data": {}}},
    )
    found = chosen(made, [], level=Level.FILES)
    assert {"/work", "/data"} <= found.kept
    assert removed(found) == {"/work/readme", "/data/big", "/else", "/else/big"}


def test_certificates_that_the_configuration_points_to_stay() -> None:
    made = contents(
        link("/etc/ssl/certs/one.pem", "/usr/share/pki/one.crt"),
        file("/usr/share/pki/one.crt", 4),
        link("/etc/alternatives/vi", "/usr/bin/vim"),
        file("/usr/bin/vim", 50),
    )
    found = chosen(made, [], level=Level.FILES)
    assert "/usr/share/pki/one.crt" in found.kept
    assert "/usr/bin/vim" not in found.kept


def test_at_the_level_files_what_stays_may_be_stripped_but_for_what_is_kept_by_name() -> None:
    image = contents(
        file("/lib/a.so"),
        file("/lib/twin.so", twin_of="/lib/a.so"),
        file("/lib/kept.so"),
        file("/lib/ossl-modules/fips.so"),
        file("/lib/gone.so"),
    )
    touched = ["/lib/a.so", "/lib/kept.so", "/lib/ossl-modules/fips.so"]

    def strippable(also: tuple[str, ...] = (), **changes: Any) -> frozenset[str]:
        fields = {"level": Level.FILES, "keep": ["/lib/kept*"], "head": lambda _: b"", **changes}
        return Selector(image, [recording(touched)], **fields).select(also).strippable

    assert strippable() == {"/lib/a.so", "/lib/twin.so"}
    assert strippable(("/lib/twin.so", "/lib/gone.so")) == frozenset()
    assert strippable(strip=False) == frozenset()
    assert strippable(level=Level.PACKAGES) == frozenset()
