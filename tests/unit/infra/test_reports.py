"""`make status` also runs the commands that say how a service's work is."""

from infra.services import Service, find_service, report_all


def service(*report: str) -> Service:
    return Service(name="one", ports=(), healthy=lambda _: True, where="", report=report)


def test_all_is_well_if_every_report_succeeds() -> None:
    good, bad = service("json.tool", "--help"), service("json.tool", "/no such file")
    assert report_all([service(), good])
    assert not report_all([bad, good])


def test_flinks_work_is_its_job() -> None:
    assert find_service("flink").report == ("streaming", "status")
