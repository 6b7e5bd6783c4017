"""How a container is run: one `Driver` protocol, and the drivers behind it."""
