"""Who reads whose files of NIR, and how many spikes differ: ``python -m benchmarks.nir``.

`peers` reads and writes by the other libraries, `trials` are the networks and the ways they go, and `report` makes the
table of docs/nir.md. `eight_bits` trains for chips; `chips` runs the tools of Speck and Xylo.
"""
