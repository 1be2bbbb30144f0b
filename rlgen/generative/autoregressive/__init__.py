"""Autoregressive models: PixelCNN, gated PixelCNN, PixelRNN."""
