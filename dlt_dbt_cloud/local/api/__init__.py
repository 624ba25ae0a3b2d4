"""The API: routes, requests and answers."""
