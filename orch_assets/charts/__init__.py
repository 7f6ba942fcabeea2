"""Charts of a study: counts, of which small ones are merged, then a figure.

Nothing here knows Dagster, a store or the API. matplotlib is imported when the first figure is
drawn.
"""
