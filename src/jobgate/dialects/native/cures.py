"""What each problem means and what to do about it: the words of its page, for those who meet it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct


class Cure(Struct, frozen=True):
    """Why it happens, and what helps."""

    cause: str
    cure: str


CURES: Final[Mapping[str, Cure]] = {
    "invalid": Cure(
        "A member of the body or a parameter of the query has a type, a value or a name that this address does not "
        "take. Unknown names are refused, so that a slip in one is never passed over.",
        "Read errors: each entry has the place (a JSON pointer into the body, or the name of a parameter) and what is "
        "expected there. All faults are told at once, up to 100. Nothing was changed.",
    ),
    "invalid-json": Cure(
        "The body is not one JSON object in UTF-8, or nests too deep to be read.",
        "Send JSON as RFC 8259 has it: no comments, no NaN, no lone surrogates, one object.",
    ),
    "unauthenticated": Cure(
        "No API key came along, or the one that did is unknown, revoked or expired.",
        "Send Authorization: Bearer KEY. The operator makes a key with jobgate credential add NAME --kind api-key. "
        "Keys of other kinds do not open this API.",
    ),
    "forbidden": Cure(
        "The key is good, but its scopes do not hold what this address asks for, or the account is blocked.",
        "Use a key with the scope that the reference names for this address, or ask the operator for one.",
    ),
    "not-found": Cure(
        "There is no such thing, or it belongs to another account: both look the same, so that nobody learns of "
        "another's. A malformed id is an unknown one.",
        "Compare the id with the answer that first named it. What retention has deleted is not found either.",
    ),
    "folder-not-found": Cure(
        "The address names a folder that this account has not made, or has deleted.",
        "Make it with PUT /v1/folders/NAME, then put files into it. GET /v1/folders lists those there are.",
    ),
    "file-not-found": Cure(
        "The job or folder is there and has no file of that path.",
        "List its files first. Paths are told from the workspace, with capitals as they are.",
    ),
    "app-not-found": Cure(
        "The job names an app that this server's catalogue does not have.",
        "GET /v1/apps lists those that there are; the operator adds others under [apps.NAME].",
    ),
    "unknown-operation": Cure(
        "No verb of this API has this path.",
        "Look at the list of addresses at /docs. Ids have no slash in them, and paths no .. segment.",
    ),
    "method-not-allowed": Cure(
        "The path is right, and answers to other methods than this one.",
        "Use one of those that the Allow header names.",
    ),
    "conflict": Cure(
        "What was asked for does not go together with the state in which the thing is now.",
        "Read it again, and decide by its present state.",
    ),
    "job-active": Cure(
        "The job, or a job of the batch, is not over, and this can only be done when it is.",
        "Wait with `?wait=SECONDS`, or cancel it first; a delete with `?force=true` does both.",
    ),
    "not-failed": Cure(
        "Only a job that failed can be tried again. This one succeeded, or was cancelled.",
        "Submit it anew where it is to run once more.",
    ),
    "not-waiting": Cure(
        "The job does not wait: it runs, or it is over.",
        "Read its state. Why a job waits can be asked while it is held or queued.",
    ),
    "not-empty": Cure(
        "Jobs were put into this batch before, or it was cancelled or retired while it was empty.",
        "Make another empty batch, and put the jobs into that. The same Idempotency-Key repeats an answer that was "
        "lost, and puts in nothing twice.",
    ),
    "name-taken": Cure(
        "Another job of the account is called so, or two jobs of this request are. Nothing was made.",
        "Choose another name, or delete the job that has it: names are free again with that.",
    ),
    "retired": Cure(
        "The batch was retired, by its owner or because its lease ended. Its files are deleted, and nothing of it "
        "changes any more.",
        "Submit its jobs anew where they are to run again. A lease is put off in time with a PATCH of `expires`.",
    ),
    "changed": Cure(
        "If-Match names another version than the present one: somebody changed it in between.",
        "Read it again, look at what is different, and send the change with its new ETag.",
    ),
    "offset": Cure(
        "The part of an upload does not begin where the part before it ended.",
        "Go on at the offset that the Upload-Offset header of the answer names.",
    ),
    "mismatch": Cure(
        "The bytes that came have another SHA-256 or another length than was said. They were thrown away.",
        "Compute the digest of the whole file again, and begin the upload anew.",
    ),
    "upload-busy": Cure(
        "Another request is adding to the same upload at this moment.",
        "Wait until it has ended, ask with HEAD how far the upload is, and go on from there.",
    ),
    "too-many-uploads": Cure(
        "The account has as many uploads under way as it may.",
        "Finish some of them, or delete those that will not be finished.",
    ),
    "folder-not-empty": Cure(
        "The folder still has files.",
        "Delete them first, or delete the folder with `?force=true` and all that is in it.",
    ),
    "webhook-not-found": Cure(
        "The submit names a webhook that this account does not have.",
        "GET /v1/webhooks lists those that there are, each with its id.",
    ),
    "webhook-disabled": Cure(
        "The webhook is disabled: by its owner, or because its address failed for days or answered 410.",
        'Mend what failed, then PATCH it with {"enabled": true} and ask again.',
    ),
    "too-many-webhooks": Cure(
        "The account has as many webhooks as it may.",
        "Delete one that is not needed any more. One webhook can be told of every batch.",
    ),
    "gone": Cure(
        "It was here, and the time for which this server keeps it has ended.",
        "What is left is told beside: an event log says from which cursor on it still has everything. The operator "
        "sets these times under [retention].",
    ),
    "timeout": Cure(
        "The body came too slowly: 60 seconds without a byte, or slower than 16 KiB a second.",
        "Send it again. The same Idempotency-Key makes sure that nothing is made twice.",
    ),
    "too-large": Cure(
        "The body, or a file in it, is larger than this server takes.",
        "Send less at once. Large inputs go by upload or by url rather than inside the request.",
    ),
    "batch-too-large": Cure(
        "One batch may have so many jobs here, and this one has more.",
        "Send several batches. GET /v1/account tells the limit; the operator sets it with [limits] batch.",
    ),
    "range": Cure(
        "The Range of the request begins behind the last byte there is.",
        "Content-Range of the answer says how many bytes there are. A log that grows is followed with ?follow=true.",
    ),
    "key-reused": Cure(
        "An earlier request of this account had the same Idempotency-Key, and was another: its body or its address "
        "differ.",
        "Use a new key for a new request. To repeat the first one, send it again byte for byte.",
    ),
    "unrunnable": Cure(
        "No compute environment that this account may use has what the job asks for, even when it is empty. The "
        "detail names the one that comes nearest, and what it lacks.",
        "Ask for less, or for another image or network. GET /v1/environments tells what each one has.",
    ),
    "licence-required": Cure(
        "The operator says of this app that whoever submits it accepts its licence, and the job does not say so.",
        'Read the licence (licence_url in GET /v1/apps), then send "accept_licence": true beside the app.',
    ),
    "app-not-runnable": Cure(
        "The image that the job names is in no catalogue here, and no environment fetches images.",
        "Use an image of GET /v1/images, or ask the operator to add it under [images.NAME].",
    ),
    "app-version-not-found": Cure(
        "The app is here, and the version that the job names is not: it was never, or the operator took it away.",
        "Use a version of GET /v1/apps, or name none for the newest.",
    ),
    "app-deprecated": Cure(
        "The operator keeps the app for jobs that were submitted before.",
        "Use another app of GET /v1/apps, or ask the operator what takes its place.",
    ),
    "too-many": Cure(
        "This account has sent more requests in a short time than it may.",
        "Wait for the seconds in Retry-After. Ask for many jobs in one request, follow events, and use ?wait= instead "
        "of asking again and again.",
    ),
    "too-many-jobs": Cure(
        "The account would have more jobs that are not over than it may.",
        "Wait until some have ended, or cancel some. GET /v1/account tells the quota and what is used of it.",
    ),
    "storage-quota": Cure(
        "The account's stored files would be more than its quota.",
        "Delete jobs, uploads or files of folders that are not needed any more. GET /v1/account tells what is used.",
    ),
    "unavailable": Cure(
        "The server cannot do this at the moment: it is starting, stopping, or its database is busy. Nothing was "
        "changed.",
        "Send the same request again after the seconds in Retry-After, with the same Idempotency-Key.",
    ),
    "storage-full": Cure(
        "The server's disk has come down to the floor that its operator keeps free. Nothing was changed.",
        "Try again later. The operator frees space, or lowers [storage] reserve.",
    ),
    "internal": Cure(
        "The server failed at something that is not your doing.",
        "Send it again. If it happens again, give the operator the Request-Id: its log has the cause under it.",
    ),
}
"""By code, as it stands in a problem."""
