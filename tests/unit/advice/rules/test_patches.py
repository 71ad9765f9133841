"""A Dockerfile's steps, changed: what is certain, and what is left alone."""

import pytest

from lab.advice.rules.patches import (
    Step,
    all_of,
    diff,
    ended_by,
    installs,
    option,
    renamed,
    uninstalled,
    without,
)


@pytest.mark.parametrize(
    ("shell", "changed"),
    [
        ("pip install tensorflow flask", "pip install tensorflow-cpu flask"),
        ("pip3 install -U 'tensorflow==2.15.0'", "pip3 install -U 'tensorflow-cpu==2.15.0'"),
        ("python3 -m pip install TensorFlow>=2", "python3 -m pip install tensorflow-cpu>=2"),
        ("uv pip install tensorflow[x]~=2.1", "uv pip install tensorflow-cpu[x]~=2.1"),
        ("pip install -r tensorflow", None),
        ("pip install tensorflow-hub", None),
        ("echo tensorflow", None),
        ("pip install 'tensorflow", None),
    ],
)
def test_a_package_is_renamed_where_it_is_named_and_nowhere_else(
    shell: str, changed: str | None
) -> None:
    assert renamed("Python", {"tensorflow": "tensorflow-cpu"})(shell) == changed


def test_a_package_is_taken_out_and_a_command_that_installs_nothing_else_goes() -> None:
    drop = without("Debian", {"gcc", "make"})
    assert drop("apt-get update && apt-get install -y gcc libgomp1=1.2 && rm -rf /x") == (
        "apt-get update && apt-get install -y libgomp1=1.2 && rm -rf /x"
    )
    assert drop("apt-get install -y gcc make && echo done") == "echo done"
    assert drop("apt-get install -y gcc-12") is None
    assert drop("apt-get install -y gcc") == ""  # nothing is left of the step


def test_a_list_that_a_command_reads_is_kept_when_the_last_name_goes() -> None:
    assert without("Python", {"jupyter"})("pip install -r r.txt jupyter") == "pip install -r r.txt"


def test_options_and_ends_are_added_once() -> None:
    lean = option("Python", "--no-cache-dir")
    assert lean("pip install a && pip install b") == (
        "pip install --no-cache-dir a && pip install --no-cache-dir b"
    )
    assert lean("pip install --no-cache-dir a") is None
    tidy = ended_by("rm -rf /var/lib/apt/lists/*")
    assert tidy("apt-get update;") == "apt-get update && rm -rf /var/lib/apt/lists/*"
    assert tidy("apt-get update && rm -rf /var/lib/apt/lists/*") is None


def test_a_package_is_uninstalled_by_the_pip_that_installed_it() -> None:
    undo = uninstalled(["a", "b"])
    assert undo("python3 -m venv /v && X=1 /v/bin/pip -q install c") == (
        "python3 -m venv /v && X=1 /v/bin/pip -q install c && /v/bin/pip uninstall -y a b"
    )
    assert undo("uv pip install c") == "uv pip install c && uv pip uninstall a b"
    assert undo("python3 -m pip install c") == (
        "python3 -m pip install c && python3 -m pip uninstall -y a b"
    )
    assert undo("make install") is None


def test_a_here_document_is_left_alone() -> None:
    assert ended_by("true")("cat <<EOF > /x EOF") is None


def test_changes_follow_on_each_other_and_those_that_cannot_be_made_are_left_out() -> None:
    both = all_of(
        renamed("Python", {"opencv-python": "opencv-python-headless"}),
        without("Python", {"nothing"}),
        option("Python", "--no-cache-dir"),
    )
    assert both("pip install opencv-python") == "pip install --no-cache-dir opencv-python-headless"
    assert both("echo") is None


def test_what_is_installed_is_told_from_options_and_their_values() -> None:
    shell = "apt-get update && apt-get -qq install -y --no-install-recommends -t sid gcc g++"
    assert installs(shell, "Debian") == ["gcc", "g++"]
    assert installs("npm ci", "Node") == []


def test_a_patch_shows_the_steps_commands_line_by_line() -> None:
    old = "apt-get update && apt-get install -y gcc"
    assert diff(old, f"{old} && rm -rf /var/lib/apt/lists/*").splitlines() == [
        "  RUN apt-get update \\",
        "-     && apt-get install -y gcc",
        "+     && apt-get install -y gcc \\",
        "+     && rm -rf /var/lib/apt/lists/*",
    ]
    assert diff("pip install tensorflow", "pip install tensorflow-cpu").splitlines() == [
        "- RUN pip install tensorflow",
        "+ RUN pip install tensorflow-cpu",
    ]


@pytest.mark.parametrize(
    ("command", "shell"),
    [
        ("RUN pip install a", "pip install a"),
        ("/bin/sh -c pip install a", "pip install a"),
        ("/bin/sh -c #(nop) COPY file:1 in /", None),
        ("COPY . /app", None),
        ("imported", None),
    ],
)
def test_the_command_of_a_step_is_known_however_the_image_remembers_it(
    command: str, shell: str | None
) -> None:
    assert Step(number=1, command=command, base=False).shell == shell
