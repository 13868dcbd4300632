"""The record of a run: journal while it runs, tables when it is over, recovery when it was killed."""
