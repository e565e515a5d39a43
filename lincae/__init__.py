"""Audio autoencoders with an approximately linear latent space."""
