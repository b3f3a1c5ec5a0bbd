"""The scoring server: a decision of the champion for one application, with its reasons."""
