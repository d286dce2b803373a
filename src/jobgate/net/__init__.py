"""The way out: everything that this server fetches or calls goes through here."""
