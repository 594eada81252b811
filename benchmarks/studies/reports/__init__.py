"""The report of the comparison of the family, made from result files alone; every other study has its own in its file.

`outcomes` reads the comparison and concludes; `family` shows it, `advice` says what follows, and `claims` tests earlier
claims on it.
"""
