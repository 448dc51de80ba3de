"""Postgres and Redis from wheels, and the supervisor that runs the whole stack on one machine."""
