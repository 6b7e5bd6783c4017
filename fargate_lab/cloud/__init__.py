"""The local cloud: one HTTP server on 127.0.0.1 that answers as AWS does."""
