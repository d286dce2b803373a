"""What one account may do."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one account may do, unless its quota says otherwise. ``[limits]`` of the configuration."""

    live_jobs: int = 1_000_000
    """Jobs of one account not yet over."""
    running: int = 0
    """Jobs of one account that run at once, over all environments; 0: no limit. Further ones wait."""
    cores: float = 0.0
    """Cores of all that run of one account at once; 0: no limit."""
    batch: int = 1_000_000
    """Jobs in one request."""
    fill: int = 100_000
    """Jobs that fill a batch which was made empty."""
    job: int = 8 * 1024**2
    """Bytes of a request for one job, where the dialect has such requests; larger content is uploaded."""
    shown: int = 10_000
    """Jobs in one answer; a list has pages."""
    calls: float = 0.0
    """Requests of one account in a second; 0: no limit."""
    storage: int = 0
    """Bytes of all files that one account has stored; 0: no limit."""
    upload: int = 2 * 1024**3
    """Bytes of one uploaded file."""
    input: int = 2 * 1024**3
    """Bytes of one fetched input."""
    output_files: int = 1000
    """Files collected of one job."""
    output_bytes: int = 2 * 1024**3
    """Bytes of all of them."""
    log: int = 10 * 1024**2
    """Bytes of log kept; of a longer one the middle is cut."""
