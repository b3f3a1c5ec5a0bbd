"""The fault drill: what happens to the stream's promise when things break."""
