"""The model's states in this API's words, and the contract's examples of signatures."""

from __future__ import annotations

import hashlib
from itertools import product
from typing import Final

import pytest
from boinc_world import World
from msgspec.structs import replace

from jobgate.dialects.boinc import states
from jobgate.dialects.boinc.routes import Boinc
from jobgate.dialects.dialect import Call, Setup
from jobgate.model.account import Signature
from jobgate.model.attempt import Exit
from jobgate.model.outcomes import JobView
from jobgate.model.replicas import Shortfall
from jobgate.model.state import AttemptState, Failure, JobState, Limit, Verdict

WORDS: Final = frozenset(
    {
        *("Inactive", "Unsent", "In progress", "Completed, waiting for validation", "Completed and validated"),
        *("Completed, marked as invalid", "Completed, can't validate", "Completed, validation inconclusive"),
        *("Completed, too late to validate", "Couldn't send", "Cancelled by server", "Aborted", "Upload failed"),
        *("Not started by deadline - canceled", "Error while downloading", "Error while computing", "Error"),
        *("Error while uploading", "Timed out - no response", "Didn't need", "Validate error", "Abandoned", "Unknown"),
    }
)


def _view() -> JobView:
    return World().batches[1001][1][0]


def test_an_instances_state_is_a_word_of_the_contract() -> None:
    view = _view()
    for state, failure, verdict, limit, of in product(
        AttemptState, (None, *Failure), Verdict, (None, *Limit), (JobState.RUNNING, JobState.CANCELLED, JobState.FAILED)
    ):
        attempt = replace(
            view.attempts[0],
            state=state,
            failure=failure,
            verdict=verdict,
            limit=limit,
            exit=Exit(1) if failure else None,
        )
        word = states.of_attempt(replace(view, job=replace(view.job, state=of)), attempt)
        assert word in WORDS, (state, failure, verdict)
        assert state.over == (word not in ("Inactive", "Unsent", "In progress"))


@pytest.mark.parametrize(
    ("failure", "limit", "word"),
    [
        (Failure.INPUT, None, "Error while downloading"),
        (Failure.PROGRAM, None, "Error while computing"),
        (Failure.OUTPUT, None, "Error while uploading"),
        (Failure.LIMIT, Limit.OUTPUT, "Upload failed"),
        (Failure.LIMIT, Limit.WALLTIME, "Aborted"),
        (Failure.LOST, None, "Timed out - no response"),
    ],
)
def test_an_instance_that_failed_says_in_which_phase(failure: Failure, limit: Limit | None, word: str) -> None:
    view = _view()
    view = replace(view, job=replace(view.job, state=JobState.FAILED))
    assert states.of_attempt(view, replace(view.attempts[0], failure=failure, limit=limit)) == word


def test_an_attempt_that_was_given_back_was_never_sent_and_left_no_result() -> None:
    view = _view()
    given_back = replace(view.attempts[0], state=AttemptState.RETURNED)
    queued = replace(view, job=replace(view.job, state=JobState.QUEUED), attempts=(given_back,))
    assert (states.of_attempt(queued, given_back), states.polled(queued)) == ("Didn't need", "UNSENT")
    assert states.detail(queued) == "queued"
    assert states.last_over([given_back]) is None
    assert states.last_over([view.attempts[0], given_back]) == view.attempts[0]


def test_each_bit_of_the_mask_has_its_word() -> None:
    told = {
        1: "couldnt_send_result",
        2: "too_many_error_results",
        4: "too_many_success_results",
        8: "too_many_total_results",
        16: "cancelled",
        32: "no_canonical_result",
    }
    assert dict(states.BITS.values()) == told
    assert set(states.BITS) == set(Shortfall)


@pytest.mark.parametrize(
    ("query", "text", "value"),
    [
        ({"cmd": "result_file", "result_name": "j1_0"}, "j1_0", "eed1236590cd5927a6f6dbfe44bb49e4"),
        ({"cmd": "batch_files", "batch_id": "7"}, "7", "16d673c82fdcd332000df2cf0fbec0c5"),
    ],
)
def test_the_contracts_examples_of_signatures_hold(query: dict[str, str], text: str, value: str) -> None:
    assert hashlib.md5(("a" * 32 + text).encode()).hexdigest() == value  # noqa: S324  # BOINC's own
    proof = Boinc(Setup(prefix="/boinc")).credential(Call(verb="get_output", query={**query, "auth_str": value}))
    assert isinstance(proof, Signature)
    assert (proof.text, proof.value) == (text, value)
