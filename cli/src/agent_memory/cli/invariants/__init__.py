"""What must hold on a live system, checked against its Postgres and Redis. `doctor`, the end-to-end tests and chaos share it."""
