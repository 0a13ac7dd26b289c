"""Scenarios on labs of this machine: a file is a scenario, with a lab that its fixture `lab` raises. Its tests run in
order, each on what the ones before it left; any of them can be run alone (`-k`).

KOLLA_TEST_PROGRAM is the program. The lab is named `test` (KOLLA_TEST_LAB), with a registry on port 4001
(KOLLA_TEST_REGISTRY), so that it stands beside any other. One that stands already can be tested, too: KOLLA_TEST_SITE
names its folder, and it stays.
"""

import os

import pytest

from lab import Lab, say, take_down


def first_line(item):
    """What a test shows."""
    return (item.function.__doc__ or item.name).splitlines()[0]


@pytest.fixture(scope="module")
def bare():
    """A lab of which nothing is raised yet; what is raised of it goes in the end."""
    bare = Lab(os.environ.get("KOLLA_TEST_PROGRAM", "target/release/kolla"))
    yield bare
    if not bare.stands:
        take_down(bare)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    say(f"-- {first_line(item)}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call":
        say(f"{report.outcome} in {report.duration:.0f} s")
    if report.when == "setup" and report.failed:
        # Nothing can be tested without its lab.
        item.session.shouldstop = "what it needs could not be raised"
    if report.when == "call" and report.failed:
        # So that the others are not blamed for it.
        lab = item.funcargs["lab"]
        lab.evidence()
        lab.settle()
