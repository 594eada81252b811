"""Running networks over time: layers in sequence, blocks of time steps, and checks of stateless layers."""
