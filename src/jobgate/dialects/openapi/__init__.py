"""An OpenAPI 3.1 document of a dialect that speaks JSON, drawn from its own verbs and wire types."""
