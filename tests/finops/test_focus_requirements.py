import re

from finops import conformance, focus_requirements


def test_every_requirement_has_a_check_or_a_reason() -> None:
    assert all(
        (one.check is None) is not (one.why_not is None) for one in focus_requirements.quoted()
    )


def test_every_check_named_there_exists() -> None:
    ids = {requirement.id for requirement in conformance.requirements()}
    named = {one.check for one in focus_requirements.quoted()} - {None}
    assert named <= ids
    assert len(named) > 150


def test_rules_are_listed_once_and_in_order() -> None:
    rules = [one.rule for one in focus_requirements.quoted()]
    assert rules == sorted(set(rules))
    assert all(re.fullmatch(r"\w+-[CD]-\d{3}-[CMO]", rule) for rule in rules)


def test_a_check_is_about_the_column_of_its_rule() -> None:
    strangers = {
        one.rule
        for one in focus_requirements.quoted()
        if one.check and not one.sentence.startswith(("The product", "Property"))
        and one.check.partition(":")[0] not in one.sentence
    }  # fmt: skip
    assert strangers == set()


def test_the_rules_of_a_check() -> None:
    check = "RegionName: is missing although RegionId is given"
    assert focus_requirements.rules_of(check) == ("RegionName-C-005-C",)
    assert focus_requirements.rules_of("BilledCost: is written with a plus sign") == ()
