"""Turn the rows of datasets into prompts."""
