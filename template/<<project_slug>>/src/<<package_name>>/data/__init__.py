"""From raw tables to the feature table."""
