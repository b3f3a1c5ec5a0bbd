"""What `make bench` measures. Every figure has a baseline that is measured in the same run."""
