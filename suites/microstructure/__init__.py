"""What suites share: generators, homogenization, and reading a folder of images and a CSV."""
