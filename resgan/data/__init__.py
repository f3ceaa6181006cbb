"""The data sets, each a `Dataset` of tensors, and the batches drawn from them."""
