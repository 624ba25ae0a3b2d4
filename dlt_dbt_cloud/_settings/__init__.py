"""How settings are found, checked and explained."""
