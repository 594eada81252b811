"""The same network and train step in brainsurr and in its peers, a file each, run in an environment of its own.

``python -m benchmarks.speed.peers.spyx --mode scan --batch 256`` prints one line of JSON.
"""
