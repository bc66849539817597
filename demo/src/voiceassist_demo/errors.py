"""The demo's errors.

DemoError        something that the person at the terminal can mend; the text is one line and says how
"""


class DemoError(Exception):
    """One line for the terminal, with the way out."""
