"""Intake: how photos come into the lake. No Dagster and no torch; the graph starts from the objects that intake stores.

Ways in: the HTTP upload API (`app` and its routes), presigned forms (`presigned`, validated by `incoming`), AWS Lambda
(`lambda_function`) and `shelf land` (`land_folder`). `upload_store` keeps the results; `photos` holds the rules.
"""
