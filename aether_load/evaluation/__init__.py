"""A runtime asked what lm-eval wants to know: questions, sending, booking; nothing here imports lm-eval."""
