"""The report on the weights of a network, alone or beside another's."""
