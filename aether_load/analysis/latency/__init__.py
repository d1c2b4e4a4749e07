"""Split response latency into its parts, by request and by node."""
