"""What only builds need, told where it applies: compilers, JDKs, headers, symbols, tests, texts."""

from lab.advice.recording import Stage
from lab.advice.rules import node, system, texts, unread
from lab.advice.rules.model import AdviceKind
from lab.images.layers.looked import Library
from lab.images.layers.packages import Package
from tests.unit.advice.rules.made import MB, SITE, Made, debian, python

GCC = "/usr/lib/gcc/x86_64-linux-gnu/12/cc1"


def compiler(*commands: str) -> Made:
    made = Made(commands=commands)
    made.depends = {debian("gcc"): [debian("gcc-12")], debian("gcc-12"): [debian("binutils")]}
    made.file(GCC, 30 * MB, package=debian("gcc-12"))
    return made.file("/usr/bin/x86_64-linux-gnu-ld", 2 * MB, package=debian("binutils"))


def test_a_compiler_is_purged_in_the_step_that_compiled() -> None:
    (one,) = compiler("RUN apt-get install -y gcc curl && pip install x").asked(system.compilers)
    assert one.saves.unpacked_bytes == 32 * MB
    assert one.patch is not None
    assert "+     && apt-get purge -y --auto-remove gcc" in one.patch


def test_a_compiler_of_an_earlier_step_is_moved_to_the_one_that_compiles() -> None:
    made = compiler("RUN apt-get update && apt-get install -y gcc curl", "RUN pip install x")
    (one,) = made.asked(system.compilers)
    assert one.patch is not None
    assert "-     && apt-get install -y gcc curl" in one.patch
    assert "+     && apt-get install -y curl" in one.patch
    assert "+     && apt-get install -y --no-install-recommends gcc \\" in one.patch
    assert "apt-get purge -y --auto-remove gcc" in one.patch


def test_a_compiler_that_no_step_needs_is_not_installed() -> None:
    made = compiler("RUN apt-get install -y gcc r-base", "RUN Rscript -e 'saveRDS(1, \"/x\")'")
    (one,) = made.asked(system.compilers)
    assert one.patch == "- RUN apt-get install -y gcc r-base\n+ RUN apt-get install -y r-base"


def test_with_a_compiler_goes_what_came_for_it_alone_and_nothing_that_was_used() -> None:
    made = compiler("RUN apt-get install -y gcc python3-dev git && pip install x")
    made.file("/usr/lib/libpython3.a", 9 * MB, package=debian("libpython3-dev"))
    made.file("/usr/bin/perl", 4 * MB, package=debian("perl"))
    made.depends |= {
        debian("python3-dev"): [debian("libpython3-dev")],
        debian("gcc"): [debian("gcc-12"), debian("perl")],
        debian("git"): [debian("perl")],
    }
    (one,) = made.asked(system.compilers)
    assert one.saves.unpacked_bytes == (32 + 9) * MB
    assert "purge -y --auto-remove gcc python3-dev" in str(one.patch)
    made.opened("/usr/lib/libpython3.a")
    (one,) = made.asked(system.compilers)
    assert one.saves.unpacked_bytes == 32 * MB
    assert "purge -y --auto-remove gcc" in str(one.patch)
    assert "python3-dev" not in str(one.patch).partition("purge")[2]


def test_a_compiler_that_was_only_recommended_is_no_build_of_the_users() -> None:
    made = compiler("RUN apt-get install -y npm")
    made.file("/usr/bin/npm", MB, package=debian("npm"), read=Stage.READY)
    assert made.asked(system.compilers) == []
    (one,) = made.asked(unread.packages)
    assert one.title == "Leave 2 recommended packages out"


def test_a_compiler_of_the_base_image_is_answered_by_a_slim_one() -> None:
    (one,) = compiler("imported", "RUN x").asked(system.compilers)
    assert one.patch is None
    assert "-slim" in one.todo


def test_a_compiler_that_ran_or_that_a_used_package_needs_stays() -> None:
    assert compiler("RUN x").opened(GCC).asked(system.compilers) == []
    made = compiler("RUN x").file("/usr/bin/R", package=debian("r-base-dev"), read=Stage.READY)
    made.depends = {
        debian("r-base-dev"): [debian("gcc-12")],
        debian("gcc-12"): [debian("binutils")],
    }
    assert sum(one.saves.unpacked_bytes for one in made.asked(system.compilers)) == 0


def test_what_programs_need_of_a_compiler_stays() -> None:
    made = Made().file("/usr/lib/gcc/x86_64-linux-gnu/12/libgomp.so.1", 9 * MB)
    assert made.asked(system.compilers) == []


HOME = "/usr/lib/jvm/java-17-openjdk-amd64"


def java(command: str, *, ran: bool = True) -> Made:
    made = Made(commands=(command,))
    made.file(f"{HOME}/bin/javac", 20_000).file(f"{HOME}/jmods/java.base.jmod", 80 * MB)
    return made.file(f"{HOME}/lib/modules", 100 * MB, read=Stage.READY if ran else None)


def test_a_jdk_that_only_ran_is_answered_by_the_headless_runtime() -> None:
    (one,) = java("RUN apt-get install -y openjdk-17-jdk-headless").asked(system.jdk)
    assert one.kind is AdviceKind.JDK
    assert one.saves.unpacked_bytes == 80 * MB + 20_000
    assert one.patch is not None
    assert "+ RUN apt-get install -y openjdk-17-jre-headless" in one.patch


def test_with_a_jdk_goes_what_came_for_it_alone() -> None:
    made = java("RUN apt-get install -y default-jdk")
    made.file("/usr/lib/libgtk.so", 50 * MB, package=debian("libgtk"))
    made.depends = {debian("default-jdk"): [debian("libgtk")]}
    (one,) = made.asked(system.jdk)
    assert one.saves.unpacked_bytes == 130 * MB + 20_000
    assert "default-jre-headless" in str(one.patch)


def test_a_jre_and_a_jdk_that_compiled_stay() -> None:
    made = java("RUN x").opened(f"{HOME}/bin/javac")
    assert made.asked(system.jdk) == []
    made = Made().file(f"{HOME}/lib/modules", 100 * MB, read=Stage.READY)
    assert made.asked(system.jdk) == []


def test_headers_and_static_libraries_are_removed_where_they_came() -> None:
    made = Made().file(f"{SITE}/tensorflow/include/a/b.h", 9 * MB, package=python("tensorflow"))
    made.file("/usr/lib/libx.a", 4 * MB)
    (one,) = made.asked(system.headers)
    assert one.paths == (f"{SITE}/tensorflow/include",)
    assert one.patch is not None
    assert f"find {SITE}/tensorflow/include" in one.patch
    (one,) = made.asked(system.static_libraries)
    assert one.saves.unpacked_bytes == 4 * MB


def test_headers_that_were_read_and_python_in_folders_called_include_are_none() -> None:
    made = Made().file("/usr/include/stdio.h", 9 * MB, read=Stage.READY)
    made.file(f"{SITE}/x/include/y.py", 9 * MB).file("/lib/libx.so", 9 * MB)
    assert made.asked(system.headers) == []
    assert made.asked(system.static_libraries) == []


def test_debug_symbols_are_told_by_their_own_bytes() -> None:
    made = Made(commands=("COPY --from=build /opt /opt",)).file("/opt/x.so", 90 * MB)
    made.libraries = {"/opt/x.so": Library(sha256="s", debug_bytes=60 * MB)}
    (one,) = made.asked(system.debug_symbols)
    assert one.saves.unpacked_bytes == 60 * MB
    assert one.saves.compressed_bytes == 15 * MB
    assert one.saves.files == 0
    made.libraries = {"/opt/x.so": Library(sha256="s", debug_bytes=1000)}
    assert made.asked(system.debug_symbols) == []


def test_tests_documentation_and_locales_are_told_apart_and_licences_are_not_counted() -> None:
    made = Made(commands=("RUN apt-get install -y x && pip install y",))
    made.file(f"{SITE}/scipy/linalg/tests/test_x.py", 3 * MB, package=python("scipy"))
    made.file("/usr/share/doc/x/manual", 2 * MB).file("/usr/share/doc/x/copyright", 7 * MB)
    made.file("/usr/share/locale/de/x.mo", 1 * MB)
    found = {one.kind: one for one in made.asked(texts.for_people)}
    assert {kind: one.saves.unpacked_bytes for kind, one in found.items()} == {
        AdviceKind.TESTS: 3 * MB,
        AdviceKind.DOCUMENTATION: 2 * MB,
        AdviceKind.LOCALES: 1 * MB,
    }
    assert "rm -rf /usr/share/locale/*" in str(found[AdviceKind.LOCALES].patch)
    assert found[AdviceKind.TESTS].paths == (SITE,)


def test_of_rs_libraries_the_documentation_alone_goes() -> None:
    library = "/usr/lib/R/site-library"
    made = Made().file(f"{library}/dplyr/help/dplyr.rdb", 2 * MB)
    made.file(f"{library}/dplyr/R/dplyr.rdb", 2 * MB)
    (one,) = made.asked(texts.for_people)
    assert one.saves.unpacked_bytes == 2 * MB
    command = str(one.patch).partition("find ")[2]
    assert command.startswith(f"{library} -maxdepth 2 -type d \\( -name help")
    assert "-delete" not in command


def test_tests_that_a_package_reads_keep_the_others_of_that_place_apart() -> None:
    made = Made().file(f"{SITE}/a/tests/x.py", 3 * MB).file(f"{SITE}/b/tests/x.py", 3 * MB)
    made.opened(f"{SITE}/b/tests/x.py")
    (one,) = made.asked(texts.for_people)
    assert one.paths == (f"{SITE}/a",)
    assert one.saves.unpacked_bytes == 3 * MB


def test_for_a_few_texts_nobody_takes_another_base_image() -> None:
    made = Made(commands=("imported", "RUN x")).file("/usr/share/doc/x/manual", 2 * MB)
    assert made.asked(texts.for_people) == []
    (one,) = made.file("/usr/share/doc/y/manual", 9 * MB).asked(texts.for_people)
    assert "-slim" in one.todo


def test_an_image_without_texts_for_people_is_told_of_none() -> None:
    made = Made().file(f"{SITE}/numpy/testing/x.py", 3 * MB).file("/usr/lib/locale/C.utf8/x", MB)
    assert made.asked(texts.for_people) == []


def node_app(package_json: str, command: str = "RUN npm ci") -> Made:
    made = Made(commands=(command,))
    made.texts["/app/package.json"] = package_json

    def package(name: str) -> Package:
        return "Node", f"{name} 1.0.0"

    made.file("/app/node_modules/express/i.js", 2 * MB, package=package("express"))
    made.opened("/app/node_modules/express/i.js")
    made.file("/app/node_modules/qs/i.js", MB, package=package("qs"))
    made.file("/app/node_modules/typescript/i.js", 60 * MB, package=package("typescript"))
    made.depends = {package("express"): [package("qs")]}
    return made


BOTH = '{"dependencies": {"express": "1"}, "devDependencies": {"typescript": "5"}}'


def test_development_dependencies_are_those_that_dependencies_do_not_lead_to() -> None:
    (one,) = node_app(BOTH).asked(node.development_dependencies)
    assert one.saves.unpacked_bytes == 60 * MB
    assert one.patch == "- RUN npm ci\n+ RUN npm ci --omit=dev"


def test_development_dependencies_that_a_later_step_builds_with_are_left_to_a_first_stage() -> None:
    made = node_app(BOTH).but(commands=("RUN npm install", "COPY . .", "RUN npm run build"))
    (one,) = made.asked(node.development_dependencies)
    assert one.patch is None
    assert "Layer 3's step (`RUN npm run build`) builds with them" in one.todo


def test_without_development_dependencies_or_where_one_was_read_nothing_is_said() -> None:
    assert node_app('{"dependencies": {"express": "1"}}').asked(node.development_dependencies) == []
    made = node_app(BOTH).opened("/app/node_modules/typescript/i.js")
    assert made.asked(node.development_dependencies) == []
    assert node_app("no json").asked(node.development_dependencies) == []
