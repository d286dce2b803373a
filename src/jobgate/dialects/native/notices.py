"""What is sent to a webhook: a notice in the words of this API."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from jobgate.dialects.native.states import NAMES
from jobgate.dialects.native.views import moment
from jobgate.dialects.native.wire_webhooks import NoticeBody, NoticeData
from jobgate.model.ids import JobName, batch_text, place, webhook_text
from jobgate.model.state import JobState
from jobgate.model.webhook import Notice


def wording(notice: Notice) -> bytes:
    """The body; the same for the same notice at every try."""
    batch, job = notice.batch, notice.job
    named = None if batch is None or job is None else JobName(batch, job)
    data = NoticeData(
        event=notice.occasion.value,
        at=moment(notice.at),
        cursor=notice.cursor or UNSET,
        batch=UNSET if batch is None else batch_text(batch),
        job=UNSET if named is None else str(named),
        seq=notice.seq or UNSET,
        number=UNSET if named is None else place(named.batch, named.job) + 1,
        name=notice.name or UNSET,
        labels=dict(notice.labels) or UNSET,
        state=UNSET if notice.state is None else NAMES[notice.state],
        exit_code=UNSET if notice.exit_code is None else notice.exit_code,
        failure=UNSET if notice.failure is None else notice.failure.value,
        limit=UNSET if notice.limit is None else notice.limit.value,
        message=notice.message or UNSET,
        created=moment(notice.created) if batch is not None else UNSET,
        started=UNSET if notice.started is None else moment(notice.started),
        ended=moment(notice.at) if batch is not None else UNSET,
        attempt_count=UNSET if named is None else notice.attempts,
        count=notice.count or UNSET,
        counts={NAMES[state]: notice.counts[state] for state in JobState if notice.counts.get(state)} or UNSET,
        webhook=UNSET if notice.webhook is None else webhook_text(notice.webhook),
    )
    return msgspec.json.encode(NoticeBody(type=data.event, timestamp=data.at, data=data))
