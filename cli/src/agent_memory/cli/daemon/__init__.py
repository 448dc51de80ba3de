"""`memory-daemon`: the stack and its timeline under the names that users of the timeline daemon know."""
