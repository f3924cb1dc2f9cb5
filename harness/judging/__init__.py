"""How records are judged: what they hold, whether they can be believed, and the tables that follow from them."""
