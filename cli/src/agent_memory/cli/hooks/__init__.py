"""Hooks of coding agents: what they report is recorded at once, or kept here until it can be."""
