"""``make bench``: every figure of the issue's 'How good', measured on the machine it runs on, in one table.

Separate from the tests, because a measurement does not fail: it reports what it found.
"""
