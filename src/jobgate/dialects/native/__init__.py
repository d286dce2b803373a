"""The native API, below `/v1`: a start. Batches and jobs in, their state out, and a wait for their end."""
