"""Ask a runtime what lm-eval wants to know: questions, sending, recording; nothing here imports lm-eval."""
