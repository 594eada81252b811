"""The same network and train step in brainsurr and in its peers, each run in an environment of its own.

``python -m benchmarks.speed.peers spyx '{"mode": "scan", "batch": 256}'`` measures one, and prints one line of JSON.
`task` says what all train; `on_jax` and `on_torch` have a function for each library, which imports it and returns
``build`` and ``live``: ``build(job)`` makes `task.Steps`, ``live()`` a ``step(x)`` that takes one time step of one
example, ``[1, features]``, and waits for it.
"""
