"""Tables recomputed from silver, hour by hour."""
