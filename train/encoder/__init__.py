"""The accurate model: an encoder with a small vocabulary, as an int8 model folder."""
