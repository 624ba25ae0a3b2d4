"""How a run is read out."""
