"""What a model is worth: metrics, reports, and the gate to production."""
