"""Kills everything in turn under load, then accounts for every acknowledged write. `just chaos`."""
