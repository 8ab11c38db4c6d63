"""The map, as far as it needs no screen: where things are, what tiles hold, what is drawn of them and how."""
