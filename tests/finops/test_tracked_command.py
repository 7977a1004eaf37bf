"""What a scheduler or CI tells of the work it runs."""

import pytest

from finops.tracked_command import surroundings

_SLURM = {"SLURM_JOB_ID": "17", "SLURM_JOB_NAME": "train", "SLURM_JOB_PARTITION": "gpu"}


@pytest.mark.parametrize(
    ("environment", "tags"),
    [
        ({}, {}),
        (_SLURM, {"slurm_job_id": "17", "slurm_job_name": "train", "slurm_partition": "gpu"}),
        ({"SLURM_JOB_ID": "17", "SLURM_JOB_NAME": "for ann@acme.com"}, {"slurm_job_id": "17"}),
        (
            {"GITHUB_REPOSITORY": "acme/web", "GITHUB_ACTOR": "ann"},
            {"github_repository": "acme/web"},
        ),
        ({"CI_PIPELINE_ID": "4", "CI_JOB_NAME": ""}, {"gitlab_pipeline_id": "4"}),
        ({"JOB_NAME": "nightly"}, {}),
        ({"JOB_NAME": "nightly", "JENKINS_URL": "http://ci"}, {"jenkins_job": "nightly"}),
    ],
)
def test_variables_become_tags(environment: dict[str, str], tags: dict[str, str]) -> None:
    assert surroundings(environment) == tags
