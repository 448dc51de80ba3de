"""Duplicates and age to merge and forget."""
