"""One module a framework; the file name is the name on the command line."""
