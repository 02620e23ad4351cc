"""The campaign's page and its figures."""
