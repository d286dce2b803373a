"""The pages that are drawn from the code, one a module; `scripts/generate_docs.py` writes them."""
