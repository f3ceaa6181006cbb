"""Networks, data sets, GANs and scorers from typed options and plain data, by tables and constructors."""
