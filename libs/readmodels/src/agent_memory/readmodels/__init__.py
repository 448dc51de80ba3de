"""Views in Redis: working memory, search indexes, checkpoints."""
