"""Where jobs run. One folder an engine; none of them writes a state."""
