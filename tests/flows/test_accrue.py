"""The accrual's deployment: every minute, where work is reported."""

from pathlib import Path

from prefect.deployments.runner import RunnerDeployment

from finops import config
from flows import served


def deployed(folder: Path) -> dict[str, RunnerDeployment]:
    made = served.deployments(config.load(folder / "finops.toml"), str(folder / "finops.toml"))
    return {each.name: each for each in made}


def test_estimates_are_made_every_minute_where_work_is_reported(acme: Path) -> None:
    assert "accrue" not in deployed(acme)
    with (acme / "finops.toml").open("a", encoding="utf-8") as file:
        file.write('\n[sources.tracked]\nprovider = "sdk"\npath = "spool"\n')
    (schedule,) = deployed(acme)["accrue"].schedules or []
    assert str(getattr(schedule.schedule, "cron", "")) == "* * * * *"
