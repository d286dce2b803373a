"""Every sentence of the founding text, and what answers it: a test, or words in the docs that say what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from founding import exists, named, read, whole

TEXT: Final = (Path(__file__).parent / "charity_engine.txt").read_text()

FILES: Final = {
    "create": "tests/dialects/charity_engine/test_charity_engine_create.py",
    "live": "tests/dialects/charity_engine/test_charity_engine_live.py",
    "real": "tests/acceptance/test_nothing_is_lost.py",
    "serving": "tests/server/test_serving.py",
    "docs": "docs/dialects/charity-engine.md",
}
"""Where an answer stands: a test of that file, less its `test_`; or a heading of the page, with words below it."""
TABLE: Final = """
You are viewing an old version of this page. View the current version.
    -> nothing
Compare with Current View Page History
    -> nothing
« Previous Version 14 Next »
    -> nothing
DRAFT - WORK IN PROGRESS | Services are in active development and are subject to change
    -> docs charity-engine-remote-jobs-v2
The Remote Job Submission API enables integration of Charity Engine as a backend service and provides functions for
managing the entire lifecycle of jobs submitted to the network.
    -> live a_reply_to_a_creation_has_what_the_contract_says
    -> live a_job_that_is_over_has_every_member_of_its_object
    -> live a_list_is_filtered_paged_and_stable_while_jobs_are_added
    -> live outputs_of_an_aborted_job_are_there_as_far_as_they_exist
    -> live a_result_has_files_that_are_downloaded_in_parts_or_by_a_signed_address
    -> live a_log_is_read_in_pieces_while_the_job_runs
    -> live a_removal_takes_all_or_nothing_and_force_aborts_first
See Computing with Charity Engine for a contextual overview of the Charity Engine ecosystem (including additional
interfaces such as Remote CLI, Ethereum Smart Contract, and Ethereum Dapp).
    -> docs not-served: Remote CLI, Ethereum Smart Contract, Ethereum Dapp
Contents
    -> nothing
General Usage
    -> nothing
The endpoint for all calls is: https://api.charityengine.services/remotejobs/v2/
    -> live slashes_are_tolerated_and_tricks_are_not
    -> serving a_client_that_trusts_the_certificate_is_answered_in_private
Server-side implementation is in active development and may change.
    -> docs charity-engine-remote-jobs-v2
The endpoint accepts a JSON payload within a POST request, unless otherwise specified.
    -> live the_body_is_looked_at_and_not_its_label
    -> live another_method_is_told_the_right_one
Also see External APIs, which lists APIs that the Remote API is able to call.
    -> docs not-served: External APIs
API definition
    -> docs charity-engine-remote-jobs-v2
External APIs (draft)
    -> nothing
Charity Engine can call the following API endpoints upon circumstances outlined in this document.
    -> docs not-served: External APIs
An HTTP POST request with JSON payload will be dispatched to a URL hosted by the compute provider or other external
services.
    -> docs not-served: an HTTP POST request to a URL of a compute provider or other external services
HTTP Basic authorization for API endpoint URLs is supported.
    -> docs not-served: HTTP Basic for it
compute-launch
    -> docs not-served: `compute-launch`
When compute capacity is purchased on the Charity Engine marketplace, Charity Engine can call a compute provider\u2019s
API endpoint to launch reserved compute capacity.
    -> docs not-served: no capacity is sold, so no provider is called
Parameters
    -> docs not-served: `compute-launch`
ComputeCapacity[] capacity // List of ComputeCapacity objects, one per instance type that is being reserved.
    -> docs not-served: `capacity` (ComputeCapacity)
float duration // Maximum number of hours the compute capacity is reserved for. Compute payloads may exit early.
    -> docs not-served: `duration`
Expected results
    -> docs not-served: answered by
int count // Number of successfully launched instances.
    -> docs not-served: `count`
string error // Error message, if any. Optional.
    -> docs not-served: `error`
Testing + Troubleshooting
    -> nothing
Testing via CURL
    -> nothing
To use cURL to submit a job from a .json file:
    -> real the_documented_command_line_works_as_typed
$ curl -v "content-type: application/json" https://api.charityengine.services/remotejobs/v2/job-create
-d @example-job-create.json
    -> real the_documented_command_line_works_as_typed
Contents of the POST data (example-job-create.json file):
    -> real the_documented_command_line_works_as_typed
{ "authenticator":"c503d86bc4e82d9415cb5912a0986c80", "app":"charityengine:wolframengine", "commandLine":"math 2+2 >
output/out.txt", "specs": { "vcpus":2, "ram": 512, "disk": 512, "networkDownload": 0, "networkUpload": 0 }, "hours":
1, "inputFiles": [ { "filename": "in.txt", "url": "http://work.charityengine.com/rytis/mathtest.m" } ] }
    -> create the_founding_texts_own_request_is_accepted_whatever_its_label
    -> create no_declared_traffic_does_not_cut_the_network_off
    -> create a_relative_output_is_collected_after_every_end
    -> live an_input_is_fetched_when_the_job_starts_and_a_bad_one_fails_the_job
Troubleshooting
    -> nothing
If trouble occurs on the execution node, it can be helpful to set the useOwnDevices parameter to true during
job-create.
    -> create own_devices_never_reach_a_foreign_one_and_are_awaited_for_a_day
This causes the job to be given to a node operated by the account that submitted the job, rather than sending it out
to other qualified nodes in the Charity Engine device pool.
    -> live own_devices_are_waited_for_and_no_other_is_used
The useOwnDevices parameter requires signing up as a Charity Engine volunteer and having a running client.
    -> docs not-served: a volunteer's running client, signing up as one
• No labels
    -> nothing
"""
ANSWERS: Final = read(TABLE)


def test_every_sentence_of_the_founding_text_is_in_the_table_and_in_its_order() -> None:
    whole(TEXT, ANSWERS)


@pytest.mark.parametrize("answer", named(ANSWERS))
def test_what_answers_a_sentence_exists(answer: str) -> None:
    exists(answer, FILES)
