"""The models that are compared, their tuning, and the export of the best."""
