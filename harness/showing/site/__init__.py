"""`bench site`: records as web pages that anybody can read, sort and compare, without a server and a network."""
