"""The contract suites, shipped to the authors of dialects and engines."""
