"""The data sets, each a `Dataset` of tensors in memory."""
