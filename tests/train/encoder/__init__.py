"""Tests of train.encoder."""
