"""The served application: one model behind HTTP (`serve`), a queue (`batch`) and Lambda (`function`)."""

__version__ = "1.0.0"
