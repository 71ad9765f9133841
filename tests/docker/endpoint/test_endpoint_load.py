"""``lab load`` on a serverless endpoint whose containers are real."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx

from lab import paths
from lab.loadtest.folder import LoadFolder
from tests.docker.endpoint.site import Site, serverless


def test_cold_starts_throttles_and_the_pool_are_told_apart(site: Site, tmp_path: Path) -> None:
    name = site.endpoint(site.config(serverless(site.model(), most=1)))
    url = site.emulator.url
    httpx.post(f"{url}/_lab/endpoints/{name}/scale-to-zero", timeout=60).raise_for_status()
    payload = tmp_path / "order.json"
    payload.write_text(json.dumps({}))
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "lab", "load", f"endpoint:{name}"),
            *("constant:rate=20,for=5s", "--payload", str(payload), "--json"),
        ],
        cwd=paths.ROOT,
        env={
            **os.environ,
            "LAB_HOME": str(tmp_path),
            "LAB_BUSY": "ignore",
            "AWS_ENDPOINT_URL_SAGEMAKER": url,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode in {0, 16}, ended.stderr  # 16: this machine kept the generator waiting
    summary = json.loads(ended.stdout)
    assert (summary["target"]["size"], summary["target"]["max_concurrency"]) == ("1024", 1)
    (path,) = (tmp_path / "runs").glob("*-load")
    found = LoadFolder(path).requests()
    assert len(found) == 100
    assert found.answered[0]
    assert found.cold[0] == 1
    # All that came while the one container was being started.
    assert found.throttled[1]
    assert not found.failed.any()
    assert (found.cold[found.answered] == 1).sum() == 1
    assert found.answered.sum() > 1
    assert (found.answered | found.throttled).all()
    assert max(one.containers for one in LoadFolder(path).pool()) == 1
    site.delete(name)
