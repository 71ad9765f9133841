"""Whole packages and folders that nothing read: what may go, what must stay, and how."""

import pytest

from lab.advice.recording import Stage
from lab.advice.rules import unread
from lab.advice.rules.image import Image
from lab.advice.rules.model import AdviceKind, Confidence
from lab.advice.rules.table import advise
from tests.unit.advice.rules.made import MB, SITE, Made, debian, python


def app(command: str) -> Made:
    made = Made(commands=(command,))
    made.file(f"{SITE}/flask/x.py", MB, package=python("Flask 3.0"), read=Stage.READY)
    made.file(f"{SITE}/jinja2/x.py", 6 * MB, package=python("Jinja2 3.1"))
    made.file(f"{SITE}/jupyterlab/x.js", 60 * MB, package=python("jupyterlab 4.0"))
    made.depends = {python("Flask 3.0"): [python("Jinja2 3.1")]}
    return made


def test_a_package_that_nothing_read_or_needs_is_not_installed() -> None:
    (one,) = app("RUN pip install flask jupyterlab>=4").asked(unread.packages)
    assert one.title == "Do not install jupyterlab"
    assert one.saves.unpacked_bytes == 60 * MB
    assert one.saves.ondemand_s == 0
    assert one.patch == "- RUN pip install flask jupyterlab>=4\n+ RUN pip install flask"


def test_a_package_that_the_step_does_not_name_is_uninstalled_in_it() -> None:
    (one,) = app("RUN pip install everything").asked(unread.packages)
    assert one.patch is not None
    assert "+     && pip uninstall -y jupyterlab" in one.patch


def test_a_package_that_requirements_name_goes_from_them() -> None:
    made = app("RUN pip install -r requirements.txt")
    made.texts["/app/requirements.txt"] = "flask\njupyterlab\n"
    (one,) = made.asked(unread.packages)
    assert one.patch == "# /app/requirements.txt\n- jupyterlab"


def test_a_package_that_came_by_a_copy_is_left_out_of_the_stage_that_made_it() -> None:
    (one,) = app("COPY --from=build /opt/venv /opt/venv").asked(unread.packages)
    assert one.patch is None
    assert "in the stage that makes" in one.todo


def test_what_a_used_package_asks_for_is_only_to_be_tried() -> None:
    (one,) = app("RUN pip install flask").asked(unread.dependencies)
    assert one.kind is AdviceKind.UNREAD_DEPENDENCY
    assert one.confidence is Confidence.TRY
    assert "Flask 3.0 says that it needs it" in one.seen


def test_a_package_that_brings_used_ones_is_named_still_and_uninstalled() -> None:
    made = app("RUN pip install mlflow==3")
    made.file(f"{SITE}/mlflow/ui.js", 9 * MB, package=python("mlflow 3"))
    made.depends = {python("mlflow 3"): [python("Flask 3.0")], **made.depends}
    mlflow = next(one for one in made.asked(unread.packages) if "mlflow" in one.title)
    assert mlflow.patch == (
        "- RUN pip install mlflow==3\n+ RUN pip install mlflow==3 \\\n"
        "+     && pip uninstall -y mlflow"
    )


def test_what_is_to_be_tried_is_not_among_the_changes_to_all_steps() -> None:
    found = advise(app("RUN pip install flask jupyterlab").inputs())
    assert "uninstall" in str([one.patch for one in found.advice])
    assert "uninstall" not in str([one.patch for one in found.steps])


def test_a_package_of_which_one_file_was_read_stays() -> None:
    made = app("RUN x").opened(f"{SITE}/jupyterlab/x.js").opened(f"{SITE}/jinja2/x.py")
    assert made.asked(unread.packages) == made.asked(unread.dependencies) == []


def test_a_package_whose_name_alone_was_read_was_not_used() -> None:
    made = app("RUN pip install x")
    made.file(f"{SITE}/jupyterlab-4.0.dist-info/METADATA", 900, package=python("jupyterlab 4.0"))
    made.opened(f"{SITE}/jupyterlab-4.0.dist-info/METADATA")
    assert [one.title for one in made.asked(unread.packages)] == ["Do not install jupyterlab"]


def test_debian_packages_that_others_read_at_other_times_stay_with_what_they_need() -> None:
    made = Made(commands=("RUN apt-get install -y ca-certificates",))
    made.file("/etc/ssl/x", 9 * MB, package=debian("ca-certificates"))
    made.file("/usr/lib/libssl.so", 9 * MB, package=debian("libssl3"))
    made.depends = {debian("ca-certificates"): [debian("libssl3")]}
    assert made.asked(unread.packages) == []


def test_debian_packages_are_told_together_and_the_named_ones_leave_the_step() -> None:
    made = Made(commands=("RUN apt-get install -y vim curl",))
    made.file("/usr/bin/vim", 3 * MB, package=debian("vim"))
    made.file("/usr/share/vim/x", 2 * MB, package=debian("vim-runtime"))
    made.file("/usr/lib/libgpm.so", 1 * MB, package=debian("libgpm"))
    made.depends = {debian("vim"): [debian("vim-runtime")]}
    named, recommended = made.asked(unread.packages)
    assert named.title == "Do not install vim and what it brings"
    assert named.saves.unpacked_bytes == 5 * MB
    assert named.patch == "- RUN apt-get install -y vim curl\n+ RUN apt-get install -y curl"
    assert recommended.saves.unpacked_bytes == 1 * MB
    assert recommended.patch == (
        "- RUN apt-get install -y vim curl\n"
        "+ RUN apt-get install --no-install-recommends -y vim curl"
    )


def pip(*commands: str) -> Made:
    return Made(commands=commands).file("/usr/bin/pip", 9 * MB, package=debian("python3-pip"))


def test_what_a_later_step_runs_is_kept_to_a_first_stage_and_its_own_purges_it() -> None:
    (one,) = pip("RUN apt-get install -y python3-pip", "RUN pip install x").asked(unread.packages)
    assert one.patch is None
    assert one.todo.startswith("Layer 2's step (`RUN pip install x`) runs it")
    made = pip("RUN apt-get install -y python3-pip && python3 -m pip install x")
    (one,) = made.asked(unread.packages)
    assert str(one.patch).endswith("+     && apt-get purge -y --auto-remove python3-pip")
    (one,) = pip("RUN apt-get install -y python3-pip", "RUN echo pip").asked(unread.packages)
    assert one.title == "Do not install python3-pip"
    assert one.patch == "- RUN apt-get install -y python3-pip"


def test_a_word_that_also_brings_what_was_used_is_not_left_out() -> None:
    made = Made(commands=("RUN apt-get install -y r-base",))
    made.file("/usr/lib/R/bin/R", MB, package=debian("r-base-core"), read=Stage.READY)
    made.file("/usr/share/R/doc.pdf", 9 * MB, package=debian("r-doc"))
    made.depends = {debian("r-base"): [debian("r-base-core"), debian("r-doc")]}
    (one,) = made.asked(unread.packages)
    assert (one.title, one.patch) == ("Install less than r-base", None)


def test_folders_that_are_the_systems_own_are_not_named_but_what_is_in_them() -> None:
    made = Made(commands=("RUN x",)).file("/var/cache/debconf/a.dat", 9 * MB)
    made.file("/var/log/x", 9 * MB).file("/usr/share/mime/x", 9 * MB)
    assert made.asked(unread.folders) == []
    (one,) = made.file("/opt/data/x", 9 * MB).asked(unread.folders)
    assert one.paths == ("/opt/data",)


def test_a_folder_that_a_copy_brought_and_nothing_read_is_named_in_dockerignore() -> None:
    made = Made(commands=("COPY . /app",)).file("/app/serve.py", 900, read=Stage.READY)
    made.file("/app/data/2024/a.csv", 30 * MB).file("/app/data/b.csv", 3 * MB)
    (one,) = made.asked(unread.folders)
    assert one.paths == ("/app/data",)
    assert one.saves.unpacked_bytes == 33 * MB
    assert ".dockerignore" in one.todo


def test_folders_of_the_system_and_of_licences_and_of_the_base_stay() -> None:
    made = Made(commands=("imported", "COPY . /"))
    made.file("/etc/x/big", 30 * MB, layer=2).file("/usr/share/zoneinfo/x", 9 * MB, layer=2)
    made.file("/app/data/a", 9 * MB, layer=1).file("/srv/licenses/a", 9 * MB, layer=2)
    assert made.asked(unread.folders) == []


def test_without_calls_a_file_counts_as_used_when_its_blocks_were_fetched() -> None:
    made = Made(views=("blocks",)).file("/a", read=Stage.READY).file("/b").looked_at("/b")
    image = Image(made.inputs())
    assert (image.used("/a"), image.used("/b")) == (True, False)


@pytest.mark.parametrize(
    ("cmd", "base"), [('CMD ["python3"]', True), ('CMD ["/opt/venv/bin/serve"]', False)]
)
def test_the_base_image_ends_where_its_shell_or_interpreter_is_the_command(
    *, cmd: str, base: bool
) -> None:
    history: list[dict[str, object]] = [
        {"created_by": "RUN /bin/sh -c apt-get install -y gcc # buildkit"},
        {"created_by": f"{cmd} # buildkit", "empty_layer": True},
        {"created_by": "COPY . /app # buildkit"},
    ]
    made = Made(commands=("RUN apt-get install -y gcc", "COPY . /app"), history=history)
    assert [step.base for step in Image(made.inputs()).steps] == [base, False]


def test_a_large_part_of_a_used_package_is_to_be_tried_and_small_ones_stay() -> None:
    made = Made(commands=("RUN pip install tensorflow-cpu",))
    package = python("tensorflow_cpu 2.21")
    root = f"{SITE}/tensorflow"
    made.file(f"{root}/__init__.pyc", MB, package=package, read=Stage.READY)
    made.file(f"{root}/__init__.py", MB, package=package)
    made.file(f"{root}/lite/a/x.so", 90 * MB, package=package)
    made.file(f"{root}/tiny/x.py", 900, package=package)
    made.file(f"{SITE}/tensorflow_cpu-2.21.dist-info/licenses/x", 9 * MB, package=package)
    (one,) = made.asked(unread.parts)
    assert one.paths == (f"{root}/lite",)
    assert one.saves.unpacked_bytes == 90 * MB
    assert one.confidence is Confidence.TRY
    assert f"+     && rm -rf {root}/lite" in str(one.patch)


def test_a_package_that_is_read_all_over_has_no_part_to_spare() -> None:
    made = Made().file(f"{SITE}/x/lib/a.so", 90 * MB, package=python("x 1"), read=Stage.READY)
    made.file(f"{SITE}/x/lib/b.so", 90 * MB, package=python("x 1"))
    assert made.asked(unread.parts) == []
