"""Identity: from a credential to a principal."""
