"""Calcium anywhere in the field: transients and waves."""
