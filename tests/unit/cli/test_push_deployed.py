"""What a push says when it ends after the endpoint was made."""

import pytest

from lab.aws.model import Artifacts, Deployment, DeploymentNames
from lab.aws.push.proof import DifferentAnswerError
from lab.cli.push import _deployed
from lab.progress import Silent

NAMES = DeploymentNames.of("eyes", account="123456789012", region="eu-central-1")
DONE = Deployment(
    names=NAMES,
    region="eu-central-1",
    changed=True,
    artifacts=Artifacts(image="r@sha256:a", model_data="s3://b/model.tar.gz"),
)
BACK = "lab push destroy --endpoint eyes"


@pytest.mark.parametrize("end", [KeyboardInterrupt(), DifferentAnswerError("another grade")])
def test_whoever_hears_that_the_proof_failed_hears_that_the_endpoint_stays(
    end: BaseException,
) -> None:
    progress = Silent()
    with pytest.raises(type(end)), _deployed(DONE, BACK, progress):
        raise end
    (said,) = progress.notes
    assert "inference-lab-eyes" in said
    assert BACK in said


def test_a_proof_that_holds_needs_no_word() -> None:
    progress = Silent()
    with _deployed(DONE, BACK, progress):
        pass
    assert progress.notes == []
