"""Every query of every board as Prometheus itself parses it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.observe.reading import UIDS, board, grouped_in, metrics_in, queries

PROMTOOL = shutil.which("promtool")


def test_names_are_told_from_functions_labels_and_ranges() -> None:
    expr = (
        'sum by (le, endpoint) (rate(a_bucket{x="b_total"}[$__rate_interval]))'
        ' / on(z) group_left() (max(ns:c:5m) > 0) or label_replace(d_total, "e", "f", "", "")'
    )
    assert metrics_in(expr) == {"a_bucket", "ns:c:5m", "d_total"}
    assert grouped_in(expr) == {"le", "endpoint", "z"}
    assert metrics_in('label_values(g{h=~"$i"}, j)') == {"g"}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: apt install prometheus.")
@pytest.mark.parametrize("uid", UIDS)
def test_prometheus_parses_every_query(uid: str, tmp_path: Path) -> None:
    rules = []
    for number, (_, expr) in enumerate(queries(board(uid))):
        written = expr.replace("$__rate_interval", "1m").replace("$__range", "1h")
        rules.append({"record": f"query:{number}", "expr": re.sub(r"\$\w+", "any", written)})
    file = tmp_path / "rules.yml"
    # JSON is YAML.
    file.write_text(json.dumps({"groups": [{"name": "boards", "rules": rules}]}), encoding="utf-8")
    done = subprocess.run(
        [str(PROMTOOL), "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(rules)} rules found" in done.stdout
