"""Train steps compiled for a GPU and a TPU on a machine that has neither: what they launch, move and hold."""
