"""Bad input: every public call is fed what it should not be fed: ``python -m benchmarks.bad_input``.

`register` lists the calls with good and bad values for each argument, `fuzzing` tries them and judges the answers, and
`report` shows the result. May import from `lib`, and `tools.hosts`.
"""
