"""Where a running server is: noted while it runs, by whoever runs, and believed of nobody who does not."""

import subprocess
import sys

from dermaloop.cli.noted import addresses, noted

FIRST, SECOND = "http://127.0.0.1:8000/", "https://clinic.example.org:8443/"


def test_an_address_is_noted_while_its_server_runs_for_the_owner_alone(tmp_path):
    assert addresses(tmp_path) == []
    with noted(tmp_path, FIRST):
        assert addresses(tmp_path) == [FIRST]
        (note,) = tmp_path.iterdir()
        assert note.stat().st_mode & 0o077 == 0
        with noted(tmp_path, SECOND):
            assert sorted(addresses(tmp_path)) == [FIRST, SECOND]
        assert addresses(tmp_path) == [FIRST]
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_was_killed_is_not_believed_and_its_note_goes_with_the_next(tmp_path):
    code = (
        "import sys, pathlib\nfrom dermaloop.cli.noted import noted\n"
        "with noted(pathlib.Path(sys.argv[1]), sys.argv[2]):\n    print('noted', flush=True)\n    input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path, FIRST], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout.readline() == b"noted\n"
        assert addresses(tmp_path) == [FIRST]
        server.kill()
        server.wait()
    assert len(list(tmp_path.iterdir())) == 1, "it could not take its note along"
    assert addresses(tmp_path) == []
    with noted(tmp_path, SECOND):
        assert addresses(tmp_path) == [SECOND]
        assert len(list(tmp_path.iterdir())) == 1


def test_where_nothing_can_be_noted_the_server_runs_all_the_same(tmp_path):
    (tmp_path / "file").touch()
    with noted(tmp_path / "file", FIRST):
        assert addresses(tmp_path / "file") == []
