"""Training steps compiled for a GPU and a TPU on a machine without one: kernel launches, memory traffic and memory."""
