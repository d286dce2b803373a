"""Every operation of the model has somebody who carries it out, and a scope."""

from __future__ import annotations

from typing import get_args

from jobgate.model.operations import SCOPES, Called, Operation
from jobgate.operations.handle import VERBS


def test_every_operation_is_carried_out_by_somebody_and_asks_for_a_scope() -> None:
    assert {*VERBS, Called} == set(get_args(Operation)) == set(SCOPES)
