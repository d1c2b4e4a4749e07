"""The request record: written by the sender in blocks of bytes, read by the analysis as tables."""
