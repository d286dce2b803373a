"""Each rule of the contract of BOINC's Web RPCs, by its section, and what holds it."""

from __future__ import annotations

from typing import Final

TABLE: Final = """
1.1 the call is the root element's name and not the path
    -> exchange unknown: no such call
1.1 doubled slashes work, and nothing redirects
    -> hostile doubled_slashes_are_one_and_nothing_redirects
1.1 HTTP/1.0 and 1.1, closing and keeping; a large body's question is answered
    -> clients the_cpp_library_sends_a_large_submission_after_it_was_told_to
1.1 get_output3.php is optional
    -> outputs a_browsers_cookie_is_as_good_as_the_authenticator
1.2 both encodings on both endpoints, a body that is XML itself, and fields nobody knows
    -> hostile what_is_no_document_is_told_so_in_both_encodings
    -> hostile a_document_alone_is_as_good_as_a_field
    -> clients the_php_binding
1.2 an XML declaration is honoured
    -> documents what_is_a_document_by_the_books_is_read
1.2 a missing or empty request is one that cannot be parsed
    -> hostile a_body_that_is_no_form_is_answered_with_an_error
1.3 no DTD, no entities of the sender's, no network
    -> documents what_is_no_document_is_told_so
1.3 nothing is escaped, so what is malformed is an error, and entities, references and CDATA are decoded
    -> documents a_fault_within_a_known_call_is_told_as_no_document_too
    -> exchange submit_batch: entities, numeric references and CDATA are decoded
    -> files an_inline_file_is_its_text_white_space_and_all
1.3 blanks around numbers and names count for nothing
    -> exchange authentication: blanks around it are none of it
    -> exchange submit_batch: its id before the app, printed as a real
1.3 a command line is stripped at both ends
    -> clients the_cpp_library_as_htcondor_drives_it
1.3 numbers come in all shapes
    -> documents a_number_of_any_form_names_something_or_nothing
    -> documents a_figure_of_any_form_makes_jobs_or_an_error
    -> exchange estimate_batch: files and templates are not looked at
1.3 unknown elements are ignored, and the order of elements is free
    -> exchange submit_batch: what it does not know is ignored at every level
    -> exchange submit_batch: templates before the files
    -> exchange submit_batch: templates behind the files
1.3 ping in three shapes
    -> exchange ping: self-closed
    -> exchange ping: with nothing in it
    -> exchange ping: as upstream manages it
1.3 presence flags and integer flags
    -> exchange query_batches: the flag is a number: 0 is no
    -> exchange submit_batch: allocation priority, versions and figures
1.3 a batch_id of 0 or nothing is none
    -> exchange submit_batch: an id of 0 is none
    -> exchange submit_batch: an empty id is none
    -> exchange query_batch: an id of 0 leaves the name
2.1 status 200, text/xml, the declaration first, the call's name as root, well formed, no attributes
    -> recorded a_reply_keeps_the_rules_of_all_replies
    -> documents any_values_in_any_call_are_answered_under_its_name
2.2 error_num first and never 0, error_msg one line of at most 250 bytes, one error and nothing beside it
    -> recorded an_error_is_the_first_child_and_no_longer_than_clients_keep
    -> documents any_bytes_are_answered_in_the_contracts_form
    -> documents an_error_repeats_no_more_of_a_request_than_clients_keep
    -> exchange submit_batch: markup, lines and marks in what went wrong
2.2 -183 when the project is off line
    -> exchange ping: down for maintenance
2.3 a bare error before the call is known
    -> exchange unknown: no such call
    -> exchange unknown: no such call about files
    -> hostile what_is_no_document_is_told_so_in_both_encodings
2.4 integers are plain decimals of 32 bits, reals have a point, and every element is there
    -> recorded a_reply_keeps_the_rules_of_all_replies
3 no authenticator, and a bad one
    -> exchange authentication: an empty one
    -> exchange authentication: an unknown one
    -> exchange authentication: one within the batch is not where it belongs
    -> hostile an_authenticator_of_any_wrong_form_is_a_bad_one
3 authenticators are of the account's own kind, and no other credential is one
    -> hostile an_api_key_is_no_authenticator
3 no submit access
    -> exchange authentication: submit_batch by one who may not submit
    -> accounts an_app_of_others_is_one_that_this_account_may_not_submit_to
3 no file access
    -> exchange authentication: query_batch by one who is no submitter at all
3 app not found, and a deprecated app is unknown for submission
    -> exchange authentication: submit_batch for an app that is not there
    -> accounts an_app_that_is_not_there_or_takes_nothing_more
3 what is another's
    -> docs departures: it looks like none
    -> accounts another_accounts_batch_job_and_file_look_like_none
    -> accounts names_are_each_accounts_own
3 ping needs nobody
    -> exchange ping: an authenticator is ignored, whatever it is
3 the limit on jobs in progress
    -> accounts more_jobs_than_the_account_may_have_are_refused_whole
    -> exchange submit_batch: more than the account may have
3 the authenticator is kept sealed, and no log tells it
    -> outputs no_log_tells_a_credential_that_a_link_or_a_request_carries
4.1 batch states
    -> exchange query_batches: all of the caller's, oldest first, without the retired
    -> batches aborting_stops_what_runs_and_again_changes_nothing
    -> batches a_batch_is_filled_once
4.3 instance states in words
    -> exchange query_job: every verdict on what succeeded
    -> states an_instances_state_is_a_word_of_the_contract
4.4 the error mask and its words
    -> batches with_the_defaults_the_first_failure_fails_the_job_with_bit_8
    -> batches an_error_is_tolerated_as_often_as_the_template_says
    -> states each_bit_of_the_mask_has_its_word
4.5 the words of query_batch, of query_batch2, and of old
    -> exchange query_batch: by name, with details and CPU time
    -> exchange query_batch2: everything of two batches, in the order asked for
    -> exchange legacy: query_batch2 has no root of all, and no word UNSENT
5 an unknown mode, and a missing one
    -> exchange submit_batch: a mode nobody knows
    -> exchange submit_batch: no mode
5.1 physical names, and jf_MD5
    -> hostile an_upload_that_does_not_fit_stores_nothing
    -> docs departures: `jf_MD5`
5.2 local_staged
    -> files a_staged_file_is_named_by_its_physical_name
    -> exchange submit_batch: a staged file that is not there
5.3 local, confined
    -> files a_local_file_that_the_operator_did_not_offer_is_refused
    -> exchange submit_batch: a local file that may not be had
5.3 semilocal, confined
    -> files a_semilocal_address_of_another_kind_is_refused
    -> exchange submit_batch: an address that cannot be had
    -> files a_semilocal_address_is_told_without_its_password
5.4 inline
    -> files an_inline_file_is_its_text_white_space_and_all
    -> files an_empty_inline_file_is_a_file
5.5 remote
    -> files a_remote_file_is_fetched_by_the_job_and_must_be_what_was_said
    -> exchange submit_batch: a remote file without its address
5.6 sandbox
    -> files a_sandbox_file_is_the_accounts_own_as_it_is_then
    -> exchange submit_batch: a sandbox file that is not there
6.1 whose template holds
    -> files a_jobs_own_templates_go_before_the_batchs_and_these_before_the_apps
    -> exchange submit_batch: template files of the server by name
    -> exchange submit_batch: template files by their names of 2014
    -> documents a_template_file_is_a_name_and_never_a_path
6.2 slots, constant files, and the rules of a template
    -> files a_constant_file_takes_none_of_the_jobs
    -> files a_template_that_breaks_a_rule_fails_the_whole_submission
    -> exchange submit_batch: two workunits in a template
    -> exchange submit_batch: more file_refs than file_infos
6.2 as many files as slots, by the job's own template
    -> exchange submit_batch: too many files for the template
    -> exchange submit_batch: the job's own template says how many
6.2 the template's command line
    -> files the_templates_command_line_is_for_a_job_that_gives_none
6.3 outputs by number, optional ones, and their sizes
    -> files an_output_is_needed_unless_it_is_optional
    -> files an_output_larger_than_its_template_allows_fails_the_instance
    -> outputs a_file_of_an_instance_is_had_by_a_signed_link_in_the_templates_order
6.4 every app has both templates, with its names
    -> clients the_cpp_library_as_htcondor_drives_it
6.6 replication, and the canonical instance
    -> batches two_instances_that_leave_the_same_bytes_are_a_quorum_of_two
    -> batches instances_that_never_agree_fail_the_job_and_stay_visible
    -> batches a_jobs_own_template_asks_for_its_replicas
6.7 names of instances and of their files
    -> outputs the_zip_of_a_batch_is_flat_and_holds_what_canonical_instances_left
7.1 ping
    -> exchange ping: as upstream manages it
7.2 create_batch
    -> exchange create_batch: the three beside the authenticator
    -> exchange create_batch: the three in a batch, as before 2018
    -> clients the_cpp_library_as_htcondor_drives_it
7.3 submit_batch, and its errors
    -> exchange submit_batch: the ten jobs of the published text
    -> exchange submit_batch: a batch that is not there
    -> exchange submit_batch: a batch that has jobs
    -> exchange submit_batch: a name that another job bears
    -> exchange submit_batch: no jobs
    -> hostile a_job_that_cannot_be_fails_its_whole_submission
7.3 a command line's words
    -> files a_command_line_is_split_at_blanks_and_by_its_own_quotes_alone
7.3.2 allocation priority
    -> exchange submit_batch: allocation priority without an estimate
    -> docs departures: `allocation_priority`
7.4 estimate_batch
    -> exchange estimate_batch: two jobs of 1e12 at the speed of one that knows none
    -> exchange estimate_batch: a job without an estimate has the standard template's or the usual one
7.5 query_batches
    -> exchange query_batches: all of the caller's, oldest first, without the retired
    -> exchange query_batches: with CPU time
7.6 query_batch
    -> exchange query_batch: by name, with details and CPU time
    -> exchange query_batch: the id wins
    -> exchange query_batch: neither id nor name
    -> exchange query_batch: no such id
7.7 query_batch2
    -> exchange query_batch2: everything of two batches, in the order asked for
    -> exchange query_batch2: only what changed, counted so
    -> exchange query_batch2: a name nobody bears: HTCondor cuts it out of the text
    -> batches a_retired_batch_is_in_no_list_and_its_name_means_the_next_one
7.8 query_job
    -> exchange query_job: one that succeeded, with its files in the order of the template
    -> exchange query_job: no such job: '5'
7.9 query_completed_job
    -> exchange query_completed_job: one that succeeded
    -> exchange query_completed_job: one that failed
    -> exchange query_completed_job: one that runs has a mask of 0 and nothing else
    -> clients the_r_client
7.10 abort_batch
    -> exchange abort_batch: by id
    -> exchange abort_batch: no such name
    -> batches aborting_stops_what_runs_and_again_changes_nothing
7.11 abort_jobs
    -> exchange abort_jobs: one that is not there, and then none is aborted
    -> batches aborting_jobs_looks_at_all_names_before_it_stops_one
7.12 retire_batch
    -> batches a_retired_batch_is_in_no_list_and_its_name_means_the_next_one
7.13 set_expire_time
    -> batches a_lease_that_ends_aborts_and_retires_and_one_that_is_renewed_does_not
7.14 get_templates
    -> exchange get_templates: no such job
    -> exchange authentication: get_templates for an app that is not there
    -> files a_jobs_own_templates_go_before_the_batchs_and_these_before_the_apps
8.1 query_files
    -> exchange query_files: places of what is absent, from 0; one twice
    -> exchange query_files: nothing absent, and white space all the same
    -> exchange query_files: a batch that is not there
8.2 upload_files
    -> exchange upload_files: none, which HTCondor always sends
    -> exchange upload_files: fewer files than names
    -> exchange upload_files: a name that holds something else
    -> hostile a_name_always_holds_the_same
    -> hostile files_that_come_before_the_request_are_taken_from_nobody
8.2 how long a file lives
    -> batches a_staged_file_lives_as_long_as_an_unretired_batch_may_need_it
8.2 files by their MD5, as before 2017
    -> exchange query_files: by MD5, as before 2017
    -> clients the_node_client_of_2014_under_the_address_of_old
9.1 the four commands, their signs and their headers
    -> outputs a_file_of_an_instance_is_had_by_a_signed_link_in_the_templates_order
    -> outputs a_file_of_a_job_is_had_by_the_authenticator_itself
    -> outputs the_zip_of_a_batch_is_flat_and_holds_what_canonical_instances_left
    -> outputs the_zip_of_a_job
    -> outputs parameters_come_in_any_order_and_slashes_may_be_doubled
    -> states the_contracts_examples_of_signatures_hold
9.1 the zip at any time, and an empty one
    -> outputs partial_results_are_there_while_the_rest_runs
    -> outputs a_batch_without_files_is_an_empty_zip
9.1 failures
    -> outputs a_file_that_is_not_there_is_told_so
    -> outputs a_job_without_an_answer_has_no_canonical_result_and_yet_its_instances_files
    -> outputs a_command_that_is_none_is_a_bad_one
    -> outputs nobody_has_anything_without_the_owners_sign
9.2 get_output2.php, which always asks who
    -> outputs the_newer_page_has_readable_names
    -> outputs nobody_has_anything_without_the_owners_sign
9.3 get_output3.php
    -> outputs a_browsers_cookie_is_as_good_as_the_authenticator
    -> docs departures: `get_output3.php`
10 job counts
    -> batches counts_are_the_projects_and_anybodys
    -> clients the_python_3_binding
11 credit and progress
    -> files the_published_texts_ten_job_example
    -> batches two_instances_that_leave_the_same_bytes_are_a_quorum_of_two
12 what each client depends on
    -> clients the_cpp_library_as_htcondor_drives_it
    -> clients the_cpp_library_is_told_of_an_error_that_query_batches_would_have_it_forget
    -> exchange query_batches: an error stops the C++ parser before the end tag resets it
13 what the published text says otherwise
    -> docs departures: the text
14 replies of before July 2016
    -> clients the_node_client_of_2014_under_the_address_of_old
    -> exchange legacy: an error is the root
    -> docs before-july-2016: variant
15 limits
    -> docs limits: XML has at most 64 levels
    -> hostile a_body_over_the_limit_is_refused_and_one_that_says_a_gigabyte_is_not_read
"""
