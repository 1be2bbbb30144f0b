"""Models with a latent code: autoencoder, VAE, VQ-VAE."""
