"""A copy of the whole log in one file, and the way back."""
