"""What `make bench` measures. Every figure is taken beside what it is compared to."""
