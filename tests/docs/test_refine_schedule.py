"""The units and the line for cron of docs/refine.md are ones that systemd and the command line take."""

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from dermaloop.cli.refine import app

PAGE = (Path(__file__).resolve().parents[2] / "docs/refine.md").read_text()
UNITS = re.findall(r"```ini\n(.*?)```", PAGE, re.DOTALL)


def unit(text):
    read = configparser.ConfigParser(strict=True, interpolation=None)
    read.optionxform = str
    read.read_string(text)
    return read


@pytest.fixture
def units():
    service, timer = UNITS
    return unit(service), unit(timer)


def commands():
    (cron,) = re.findall(r"^0 2 1 \* \* (.+)$", PAGE, re.MULTILINE)
    return {"service": unit(UNITS[0])["Service"]["ExecStart"], "cron": cron}


@pytest.mark.parametrize("name", ["service", "cron"])
def test_the_command_is_one_that_the_program_takes(name):
    words = shlex.split(commands()[name])
    place = words.index("/opt/dermaloop/bin/dermaloop")
    command = typer.main.get_command(app)
    assert words[place + 1] == "refine"
    taken = command.make_context("refine", words[place + 2 :])
    assert {"plan", "frozen", "rehearse", "work"} <= {key for key, value in taken.params.items() if value is not None}


def test_the_timer_starts_the_service_once_a_month(units):
    service, timer = units
    assert service["Service"]["Type"] == "oneshot", "systemd starts no second one beside it"
    assert "dermaloop-refine.timer" in PAGE
    assert timer["Timer"]["Persistent"] == "true"
    assert timer["Install"]["WantedBy"] == "timers.target"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
def test_systemd_takes_both_units(tmp_path):
    for ending, text in zip(("service", "timer"), UNITS, strict=True):
        there = text.replace("/opt/dermaloop/bin/dermaloop", "/bin/true")  # it looks for the program
        (tmp_path / f"dermaloop-refine.{ending}").write_text(there)
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    own = [line for line in (ran.stdout + ran.stderr).splitlines() if "dermaloop-refine" in line]
    assert own == []
    when = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=2", unit(UNITS[1])["Timer"]["OnCalendar"]],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Normalized form: *-*-01 02:00:00" in when.stdout
