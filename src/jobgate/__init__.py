"""Jobgate: one gate for remote jobs. The public names of the Python client will stand here."""
