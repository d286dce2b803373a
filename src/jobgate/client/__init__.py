"""The Python client, of the native API. Its public names are gathered in `jobgate`."""
