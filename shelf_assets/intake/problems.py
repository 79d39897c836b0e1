"""The kinds of problems of the upload API, and the problems that errors of this room are to a client."""

from __future__ import annotations

from shelf_assets.http.problem_answers import ErrorProblems, unavailable
from shelf_assets.http.problems import Problem, ProblemKind
from shelf_assets.intake.presigned import NeedsS3
from shelf_assets.intake.upload_store import Erased, KeyReused
from shelf_assets.photos.decoder_pool import DecodersUnavailable
from shelf_assets.photos.rules import RULES

BAD_FORM = ProblemKind("bad_form", 400, "The form cannot be read.")
UNKNOWN_IMAGE = ProblemKind("unknown_image", 404, "This owner has no such image.")
TOO_SLOW_TO_ARRIVE = ProblemKind("too_slow_to_arrive", 408, "The photo did not arrive in time.")
ERASED = ProblemKind("erased", 410, "The erasure of this photo was requested; it is not accepted again.")
NO_PHOTO = ProblemKind("no_photo", 422, "The form contains no photo.")
SEVERAL_PHOTOS = ProblemKind("several_photos", 422, "The form contains more than one file; a request takes one photo.")
IDEMPOTENCY_KEY_REUSED = ProblemKind("idempotency_key_reused", 422, "The Idempotency-Key was used for another photo.")
NEEDS_S3 = ProblemKind("needs_s3", 501, "Upload forms need a lake on S3.")
BUSY = ProblemKind("busy", 503, "Too many uploads are in progress.")
DECODERS_UNAVAILABLE = ProblemKind("decoders_unavailable", 503, "No decoder is available; nothing was stored.")

# By reason: the rules of photos, as problems.
PHOTO_KINDS = {rule.reason: ProblemKind(rule.reason, rule.http_status, rule.sentence) for rule in RULES}
TOO_LARGE = PHOTO_KINDS["too_large"]

UPLOAD_ERRORS: ErrorProblems = {
    DecodersUnavailable: unavailable(DECODERS_UNAVAILABLE),
    KeyReused: lambda _: Problem(IDEMPOTENCY_KEY_REUSED, "send this photo with a key of its own, or without one"),
    Erased: lambda _: Problem(ERASED, "the same bytes were sent before, and their owner requested their erasure"),
    NeedsS3: lambda error: Problem(NEEDS_S3, str(error)),
}
