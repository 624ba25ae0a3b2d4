"""How a run is followed to its end."""
