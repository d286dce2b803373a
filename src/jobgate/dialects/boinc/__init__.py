"""BOINC's Web RPCs for remote job submission."""
