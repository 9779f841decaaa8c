"""``make bench``: everything of the issue's 'How good', measured on the machine it runs on, in one table.

Apart from the tests, because a measurement does not fail: it says what it found.
"""
