"""Charity Engine Remote Job Submission API, version 2. Contract and departures: `docs/dialects/charity-engine.md`."""
