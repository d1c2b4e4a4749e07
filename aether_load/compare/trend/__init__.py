"""Follow every figure over all stored runs, and find where it changed."""
