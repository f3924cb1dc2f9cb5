"""One module a question; the file name is the name on the command line."""
