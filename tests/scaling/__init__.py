"""Scales ingest and indexer up, and down by kill -9, under load; then accounts for every acknowledged write. `just scale-out`."""
