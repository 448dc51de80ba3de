"""Events to search documents."""
