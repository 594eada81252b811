"""Exchange NIR files with other libraries, and count the spikes that differ: ``python -m benchmarks.nir``.

`peers` reads and writes files with the other libraries, `trials` lists the networks and the libraries that exchange
them, and `report` makes the tables of docs/appendix/nir.md. `eight_bits` trains for chips; `chips` runs the tools of
Speck and Xylo.
"""
