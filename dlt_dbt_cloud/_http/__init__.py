"""HTTP to the API."""
