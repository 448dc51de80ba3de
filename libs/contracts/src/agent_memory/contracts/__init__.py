"""What crosses a border between services: commands, events, queries, envelopes, errors and the names of streams."""
