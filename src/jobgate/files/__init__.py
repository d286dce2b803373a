"""Bytes: blobs by the digest of their content, and the workspaces of attempts."""
