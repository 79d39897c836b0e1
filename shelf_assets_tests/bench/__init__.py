"""The bench: this pipeline beside the plain way of the field, its rivals and the models alone, same photos and weights.

Read in this order: photos, place, ways (the table of them; our_way, plain_way, loader_way, daft_way, ray_way,
clip_retrieval_way), worker and process, session, figures, goals, report. What stands beside them measures one thing each and
says so. Nothing of the product belongs here; the ways call it.
"""
