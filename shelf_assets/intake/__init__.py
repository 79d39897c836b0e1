"""How photos come in: the upload API and its presigned forms, the same API on Lambda, and `shelf land`.

What a photo may be and how it is sanitized belongs in `photos`; keys, rate limits and the server itself in `http`.
No Dagster and no torch.
"""
