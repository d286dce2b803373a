"""What each dialect brings to be tried: `tests/dialects/NAME/NAME_examples.py` holds its `SUBJECT`."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

from jobgate.testing.dialects import Subject

FOLDER = Path(__file__).parents[1] / "dialects"


@cache
def subject(name: str) -> Subject:
    path = FOLDER / name / f"{name}_examples.py"
    assert path.is_file(), f"the dialect {name} needs {path.relative_to(FOLDER.parents[1])} with a SUBJECT"
    found = importlib.util.spec_from_file_location(f"{name}_examples", path)
    assert found
    assert found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    held = module.SUBJECT
    assert isinstance(held, Subject)
    return held
