"""Votes of annotators: the review app, majorities, agreement, and the written texts' votes."""
