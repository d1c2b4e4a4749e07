"""Turn prompts into request bodies, by the DAG that a scenario names."""
