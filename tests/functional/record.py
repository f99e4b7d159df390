"""A pytest plugin that writes what became of each test, one line of JSON a report, to the file $FUNCTIONAL_RECORD.

It also makes the tests' random choices (of policies, of names) the same in each run.
"""
import json
import os
import random

import pytest

record = open(os.environ["FUNCTIONAL_RECORD"], "w", buffering=1)


def write(report, phase, seconds):
    why = report.longrepr
    if isinstance(why, tuple):  # A skipped test: file, line, reason.
        why = why[2]
    record.write(json.dumps({"test": report.nodeid, "phase": phase, "outcome": report.outcome, "seconds": seconds,
                             "why": "" if why is None else str(why)}) + "\n")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    random.seed(item.nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    # Not as above: a name that setting up has chosen would be chosen again.
    random.seed(item.nodeid + " itself")


def pytest_runtest_logreport(report):
    write(report, report.when, report.duration)


def pytest_collectreport(report):
    if not report.passed:
        write(report, "collect", 0)
