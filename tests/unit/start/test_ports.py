from pathlib import Path

import pytest

from lab.start.ports import listening

HEAD = "  sl  local_address rem_address   st\n"
REST = " 00000000:00000000 00:00000000 00000000 0 0 1\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for pid, network in (("self", "net:[1]"), ("7", "net:[2]"), ("8", "net:[1]")):
        (tmp_path / pid / "ns").mkdir(parents=True)
        (tmp_path / pid / "net").mkdir()
        (tmp_path / pid / "ns" / "net").symlink_to(network)
        (tmp_path / pid / "net" / "tcp").write_text(
            HEAD
            + "   0: 0100007F:1388 00000000:0000 0A"
            + REST
            + "   1: 0B00007F:8F2D 00000000:0000 0A"
            + REST
            + "   2: 0100007F:1F90 0100007F:0050 01"
            + REST
        )
        (tmp_path / pid / "net" / "tcp6").write_text(
            HEAD + "   0: 00000000000000000000000000000000:1F91 0:0 0A" + REST
        )
    return tmp_path


def test_it_tells_where_a_container_listens_instead(proc: Path) -> None:
    assert listening(7, proc=proc) == ["127.0.0.1:5000", "[::]:8081"]


def test_a_process_of_this_machine_s_network_tells_nothing(proc: Path) -> None:
    assert listening(8, proc=proc) == ()
    assert listening(99, proc=proc) == ()
    assert listening(None, proc=proc) == ()
