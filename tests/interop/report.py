"""The folder that a charm shares with its test, beside Juju."""

import json
import os
import pathlib

_FOLDER = pathlib.Path(os.environ["INTEROP_FOLDER"])


def given():
    """What the test hands over."""
    return json.loads((_FOLDER / "given.json").read_text())


def write(understood):
    """What the charm has understood, in the place of what it had before."""
    (_FOLDER / "report.json").write_text(json.dumps(understood, default=str))


def read():
    """What was written last."""
    return json.loads((_FOLDER / "report.json").read_text())
