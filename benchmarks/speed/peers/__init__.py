"""The same network and training step in brainsurr and in other libraries, each in its own environment.

``python -m benchmarks.speed.peers spyx '{"mode": "scan", "batch": 256}'`` measures one library, and prints one line of
JSON. `task` defines the training. `on_jax` and `on_torch` have a function for each library, which imports the library
and returns ``build`` and ``live``. ``build(job)`` creates `task.Steps`; ``live()`` creates ``step(x)``, which runs one
time step of one example, ``[1, features]``, and waits for it.
"""
