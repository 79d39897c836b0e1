"""The bench: this pipeline beside the plain way of the field, its rivals and the models alone, same photos and weights.

Read in this order: photos, place, baselines (the table of them; our_baseline, plain_baseline, loader_baseline, daft_baseline,
ray_baseline, clip_retrieval_baseline), worker and process, session, figures, goals, report. What stands beside them measures
one thing each and says so. Nothing of the product belongs here; the baselines call it.
"""
