"""Each sentence of BOINC's published text, and what answers it."""

from __future__ import annotations

from typing import Final

TABLE: Final = """
Version 34 (modified by 12 years ago) (diff) | , ---| Web RPCs for remote job submission
    -> nothing
This document describes an API for remotely submitting jobs to a BOINC server.
    -> docs boinc-web-rpcs: the project URL of every client
The API supports the submission of batches of jobs.
    -> files the_published_texts_ten_job_example
A batch could contain a single job, or many thousands of jobs.
    -> clients the_cpp_library_sends_a_large_submission_after_it_was_told_to
    -> clients the_php_binding
Currently, the API has two restrictions: - All jobs in a batch must use the same application.
    -> batches a_second_app_in_a_batch_is_refused
    -> exchange submit_batch: a second app in one batch
    -> exchange submit_batch: another app in one of the jobs
- There can be no dependencies between jobs.
    -> exchange submit_batch: a job that waits for another
The interface is implemented using XML over HTTP.
    -> hostile what_is_no_document_is_told_so_in_both_encodings
BOINC provides a client-side PHP binding; it's possible to create bindings in other languages.
    -> clients the_php_binding
    -> clients the_python_3_binding
    -> clients the_python_2_binding
    -> clients the_r_client
    -> clients the_node_client_of_2014_under_the_address_of_old
Input and output files Input files can be supplied in any of the following ways:
    -> exchange submit_batch: every mode of the published text
- local: the file is on the BOINC server and is not staged. It's specified by its full path.
    -> files a_local_file_is_copied_when_it_is_named_so_that_later_changes_do_not_matter
    -> files a_local_file_that_the_operator_did_not_offer_is_refused
- local_staged: the filed has been staged on the BOINC server. It's specified by its physical name.
    -> files a_staged_file_is_named_by_its_physical_name
    -> files a_staged_file_that_is_not_there_is_seen_before_anything_is_made
- semilocal: the file is on a data server that's accessible to the BOINC server but not necessarily to the outside
world. The file is specified by its URL. It will be downloaded by the BOINC server during job submission, and served to
clients from the BOINC server.
    -> files a_semilocal_file_is_read_by_the_server
    -> files a_semilocal_file_that_cannot_be_had_is_refused
    -> files a_semilocal_address_of_another_kind_is_refused
The following modes have been proposed but are not implemented yet: - remote: the file is on a data server other than
the BOINC server, and will be served to clients from that data server. It's specified by the URL, the file size, and the
file MD5.
    -> files a_remote_file_is_fetched_by_the_job_and_must_be_what_was_said
    -> files a_remote_file_that_is_not_told_whole_is_refused
- inline: the file is included in the job submission request XML message. It will be served to clients from BOINC
server.
    -> files an_inline_file_is_its_text_white_space_and_all
    -> files an_inline_file_is_larger_than_a_row_and_smaller_than_its_limit
- sandbox: the file is in the user's sandbox, and is specified by its name in the sandbox.
    -> files a_sandbox_file_is_the_accounts_own_as_it_is_then
As jobs are completed, their output files are available to the submitting user via HTTP.
    -> outputs partial_results_are_there_while_the_rest_runs
    -> outputs nobody_has_anything_without_the_owners_sign
When a batch is complete, a zipped archive of all its output files is available via HTTP.
    -> outputs the_zip_of_a_batch_is_flat_and_holds_what_canonical_instances_left
Details are here.
    -> nothing
PHP interface The following functions are provided in the PHP file submit.inc, which is independent of other BOINC code
and can be used in the Portal web code.
    -> clients the_php_binding
boinc_submit_batch() Submits a batch. Arguments: a "request object" whose fields include
    -> clients the_php_binding
- project: the project URL - authenticator: the user's authenticator
    -> hostile an_authenticator_of_any_wrong_form_is_a_bad_one
- app_name: the name of the application for which jobs are being submitted
    -> accounts an_app_that_is_not_there_or_takes_nothing_more
- batch_name: a symbolic name for the batch. Need not be unique.
    -> batches a_retired_batch_is_in_no_list_and_its_name_means_the_next_one
- jobs: an array of job descriptors, each of which contains - rsc_fpops_est: an estimate of the FLOPs used by the job
- command_line: command-line arguments to the application
    -> files the_published_texts_ten_job_example
    -> files a_command_line_is_split_at_blanks_and_by_its_own_quotes_alone
- input_files: an array of input file descriptors, each of which contains - mode: "inline", "sandbox", "local",
"semilocal", or "remote".
    -> files an_unknown_mode_is_said_by_its_name
- source: the file's URL (semilocal and remote modes), path on this host (inline mode) or name on the BOINC server
(local mode). - size: the file's size in bytes (remote mode) - md5: the file's MD5 (remote mode)
    -> exchange submit_batch: every mode of the published text
    -> files the_published_texts_ten_job_example
Result: a 2-element array containing - The batch ID - An error message (null if success)
    -> clients the_php_binding
The following example submits a 10-job batch: $req->project = "http://foo.bar.edu/test/"; $req->authenticator = "xxx";
$req->app_name = "uppercase"; $req->jobs = array(); $f->mode = "local"; $f->source = "filename.dat"; $job->input_files =
array($f); for ($i=10; $i<20; $i++) { $job->rsc_fpops_est = $i*1e9; $job->command_line = "--t $i"; $req->jobs[] = $job;
} list($batch_id, $errmsg) = boinc_submit_batch($req); if ($errmsg) { echo "Error: $errmsg\\n"; } else { echo "Batch ID:
$batch_id\\n"; }
    -> files the_published_texts_ten_job_example
    -> exchange submit_batch: the ten jobs of the published text
boinc_estimate_batch() Returns an estimate of the elapsed time required to complete a batch. Arguments: same as
boinc_submit_batch() (only relevant fields need to be populated). Return value: a 2-element array containing - The
elapsed time estimate, in seconds - An error message (null if success)
    -> exchange estimate_batch: two jobs of 1e12 at the speed of one that knows none
    -> exchange estimate_batch: files and templates are not looked at
    -> clients the_php_binding
boinc_query_batches() Returns a list of this user's batches, both in progress and complete. Argument: a request object
with elements - project and authenticator: as above. Result: a 2-element array. The first element is an array of batch
descriptor objects, each with the following fields: - id: batch ID
    -> exchange query_batches: all of the caller's, oldest first, without the retired
    -> accounts another_accounts_batch_job_and_file_look_like_none
- state: values are - 1: in progress - 2: completed (all jobs either succeeded or had fatal errors) - 3: aborted
- 4: retired
    -> exchange query_batches: all of the caller's, oldest first, without the retired
    -> exchange query_batch: a retired one as long as there are records
- name: the batch name - app_name: the application name - create_time: when the batch was submitted
- est_completion_time: current estimate of completion time - njobs: the number of jobs in the batch - fraction_done: the
fraction of the batch that has been completed (0..1) - nerror_jobs: the number of jobs that had fatal errors
- completion_time: when the batch was completed
    -> exchange query_batches: all of the caller's, oldest first, without the retired
    -> outputs partial_results_are_there_while_the_rest_runs
- credit_estimate: BOINC's initial estimate of the credit that would be granted to complete the batch, including
replication - credit_canonical: the actual credit granted to canonical instances - credit_total: the actual credit
granted to all instances
    -> batches two_instances_that_leave_the_same_bytes_are_a_quorum_of_two
    -> files the_published_texts_ten_job_example
boinc_query_batch() Gets batch details. Argument: a request object with elements - project and authenticator: as above
- batch_id: specifies a batch. Result: a 2-element array. The first element is a batch descriptor object as described
above, with one additional field: - jobs: an array of job descriptor objects, each one containing - id: the database ID
of the job's workunit record - canonical_instance_id: if the job has a canonical result, its database ID
    -> exchange query_batch: the batch's fields under the root, its jobs in order, and what the C++ library waits for
boinc_query_job() Gets job details. Argument: a request object with elements: - project and authenticator: as above
- job_id: specifies a job. Result: a 2-element array. The first element is a job descriptor object with the following
fields: - instances: an array of job instance descriptors, each containing: - name: the instance's name - id: the ID of
the corresponding result record - state: a string describing the instance's state (unsent, in progress, complete, etc.)
- outfile: if the instance is over, a list of output file descriptors, each containing - size: file size in bytes
    -> exchange query_job: one that succeeded, with its files in the order of the template
    -> exchange query_job: one that runs
boinc_abort_batch() Argument: a request object with elements - project and authenticator: as above, - batch_id:
specifies a batch. Result: an error message, null if successful
    -> batches aborting_stops_what_runs_and_again_changes_nothing
boinc_retire_batch() Delete server storage (files, DB records) associated with a batch. Argument: a request object with
elements - project and authenticator: as above, - batch_id: specifies a batch. Result: an error message, null if
successful
    -> batches a_retired_batch_is_in_no_list_and_its_name_means_the_next_one
C++ interface A C++ interface to the following functions is available in lib/remote_submit.cpp: create_batch()
submit_jobs() query_batch() abort_jobs()
    -> clients the_cpp_library_as_htcondor_drives_it
HTTP/XML interface At a lower level, the APIs are accessed by sending a POST request, using HTTP or HTTPS, to
PROJECT_URL/submit_rpc_handler.php.
    -> hostile doubled_slashes_are_one_and_nothing_redirects
    -> serving a_client_that_trusts_the_certificate_is_answered_in_private
The inputs and outputs of each function are XML documents.
    -> recorded a_reply_keeps_the_rules_of_all_replies
The format of the request and reply XML documents can be inferred from inc/submit.inc and user/submit.php.
    -> nothing
Bindings of these RPCs can be implemented in languages other than PHP.
    -> clients the_python_3_binding
Example web interface An example of a web interface for job submission and control, based on this API, can be found
here: http://boinc.berkeley.edu/trac/browser/trunk/boinc/html/user/submit_example.php This example is functional and it
shows how to use the API. However, you will have to modify it heavily for your particular applications and web site.
    -> nothing
"""
