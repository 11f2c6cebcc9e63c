"""The endpoint. Imports nothing that training needs."""
