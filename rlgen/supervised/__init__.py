"""Classifiers of images: networks, k-nearest neighbours, and ensembles."""
