"""The commands behind `lab.py`.

`bootstrap` and what it imports (`arguments`, `console`, `doctor`, `environment`, `locking`,
`steps`, `troubles`) use the standard library alone: they run before the environment exists.
"""
