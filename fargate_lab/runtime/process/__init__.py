"""Containers as plain processes: nothing to install, no isolation but what is said in `notes`."""
