"""How settings are found, checked and explained. Each setting itself is in `configuration.py`."""
