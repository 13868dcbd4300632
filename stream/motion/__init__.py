"""How each track moves: diffusion, confinement, mobility."""
