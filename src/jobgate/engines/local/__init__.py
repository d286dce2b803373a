"""The embedded engine: jobs are children of a launcher that outlives the gateway."""
