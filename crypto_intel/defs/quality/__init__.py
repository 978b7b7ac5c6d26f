"""Checks of all layers; they stand on the assets of the other folders."""
