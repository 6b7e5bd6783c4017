"""The Fargate ML lab: a local AWS that runs what it is asked to run."""

__version__ = "0.1.0"
