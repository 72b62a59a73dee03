"""Score data sets that have other labels."""
