"""The bench: this pipeline beside the plain way of the field and beside the models alone, same photos and weights.

Read in this order: photos, place, ways (pipeline_way, plain_way, models_way), worker, session, report. Nothing of
the product belongs here; the ways call it.
"""
