"""Made the stored lake in this folder: `python -m shelf_assets_tests.stored_lake.make`, in a checkout that has the commit.

It exports COMMIT to a neutral folder and runs there with that commit's code. So all imports of `shelf_assets` below use the
names of that commit and must not change when modules or settings are renamed. The libraries are the installed ones.

`home_1e6d190.tar.xz` has `home/`, a complete SHELF_HOME, and `sent/`, the bytes that clients sent. `home_1e6d190.json` has the
expected contents: the rows of every table, the events of Dagster's instance, the tokens and the answers of the upload API.
Compute logs, dbt's target and MLflow's database are left out. Models on torch have no compiled files, only cards.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

COMMIT = "1e6d190"
# The instance must not contain paths of the machine that made it.
CODE, PYTHON, HOME = Path("/tmp/shelf_assets"), Path("/tmp/shelf-python"), Path("/tmp/shelf-home")
SENT = Path("/tmp/shelf-sent")
SETTINGS = {
    "SHELF_HOME": str(HOME),
    "SHELF_MODELS": "embedded",
    "SHELF_BACKEND": "torch",
    "SHELF_PRECISION": "fp32",
    "SHELF_DEVICE": "cpu",
    "SHELF_SHARD_IMAGES": "2",
    "SHELF_COMMIT_IMAGES": "2",
    "SHELF_BATCH_SIZE": "2",
}
DAY, NEXT_DAY = date(2026, 3, 1), date(2026, 3, 2)
OWNER = "acme"


def export_and_run() -> None:
    """Run `make` with the code of COMMIT, then pack its results into the folder of this file."""
    here = Path(__file__).resolve().parent
    for folder in (CODE, HOME, SENT):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    archive = subprocess.run(["git", "archive", COMMIT], cwd=here.parents[1], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(CODE, filter="data")
    shutil.copy(__file__, CODE / "make_stored_lake.py")
    PYTHON.unlink(missing_ok=True)
    PYTHON.symlink_to(sys.prefix)
    kept = {name: os.environ[name] for name in ("LANG", "TZ") if name in os.environ}
    quiet = {
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "HOME": "/tmp",
        "USER": "shelf",
    }
    path = {"PATH": f"{PYTHON}/bin:/usr/bin:/bin", "PYTHONPATH": str(CODE)}
    command = [str(PYTHON / "bin" / "python"), "make_stored_lake.py", "made"]
    subprocess.run(command, cwd=CODE, env=kept | quiet | path | SETTINGS, check=True)
    shutil.copy(SENT.with_suffix(".json"), here / f"home_{COMMIT}.json")
    pack(here / f"home_{COMMIT}.tar.xz")


def make() -> None:
    """Two days: landed from a folder and by the upload API, run, maintained, one late photo, run again."""
    import dagster as dg
    from shelf_assets.instance import ensure_instance
    from shelf_assets.running import run_days, select_assets

    from shelf_assets.definitions import build_defs
    from shelf_assets.settings import load_settings
    from shelf_assets_tests.stories.stand_ins import NoTracking

    settings = load_settings()
    ensure_instance(settings)
    defs = build_defs(settings, {"tracking": NoTracking()})
    keys = select_assets(defs, None)
    pictures = drawn()
    land(DAY, {"flour.jpg": pictures[0], "lemons.jpg": pictures[1], "again.jpg": pictures[0]}, 1)
    land(DAY, {"cut-short.jpg": pictures[0][:-2000]}, 4)
    land(NEXT_DAY, {"flour-once-more.jpg": recompressed(pictures[0]), "copy.jpg": pictures[1]}, 1)
    answers = upload(pictures[2], pictures[3])
    with dg.DagsterInstance.get() as instance:
        run_days(defs, instance, [DAY, NEXT_DAY], keys)
        assert defs.resolve_job_def("upkeep").execute_in_process(instance=instance).success
        land(DAY, {"late.jpg": pictures[4]}, 5)
        run_days(defs, instance, [DAY], keys)
        expected = {"tables": tables(), "instance": held(instance), **answers}
    # For the tests: a photo that arrives late on DAY, after all of this.
    (SENT / "later.jpg").write_bytes(pictures[5])
    SENT.with_suffix(".json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")


def drawn() -> list[bytes]:
    """Six small drawn photos."""
    import numpy as np
    from shelf_assets.demo.draw import draw_product, encode
    from shelf_assets.demo.products import PRODUCTS

    chosen = [PRODUCTS[place * 7 % len(PRODUCTS)] for place in range(6)]
    random = np.random.default_rng(1)
    return [encode(draw_product(product, random, (160, 120)), "JPEG", 80) for product in chosen]


def recompressed(photo: bytes) -> bytes:
    """The same picture with other bytes."""
    from PIL import Image

    file = io.BytesIO()
    Image.open(io.BytesIO(photo)).save(file, "JPEG", quality=60)
    return file.getvalue()


def land(day: date, files: dict[str, bytes], second: int) -> None:
    """Put files under the day, received so many seconds after noon."""
    from shelf_assets.lake.landing import land as land_objects
    from shelf_assets.resources.lake import lake_of

    from shelf_assets.settings import load_settings

    settings = load_settings()
    for place, key in enumerate(land_objects(lake_of(settings).objects, day, files.items())):
        moment = (
            datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(seconds=second + place)
        ).timestamp()
        os.utime(settings.lake_folder / key, (moment, moment))


def upload(kept: bytes, erased: bytes) -> dict[str, Any]:
    """Send photos to the upload API as one owner; returns tokens and answers. The tokens are valid for this lake only."""
    from shelf_assets.intake.api.app import build_app
    from shelf_assets.intake.keys import Keys
    from shelf_assets.intake.rebuild import Refused
    from shelf_assets.intake.receipts import Receipts, new_image_id, owner_hash, photo_key
    from shelf_assets.resources.lake import lake_of
    from starlette.testclient import TestClient

    from shelf_assets.intake.owners import owner_hash_key
    from shelf_assets.settings import load_settings

    settings = load_settings()
    moment = datetime(2026, 3, 2, 10, tzinfo=UTC)
    store = lake_of(settings).objects
    keys, receipts = Keys(store), Receipts(store)
    key, token = keys.create(OWNER, ["upload", "read", "erase"], moment, requests="100/minute")
    revoked, revoked_token = keys.create(OWNER, ["upload"], moment)
    keys.revoke(revoked.key_id, moment + timedelta(hours=1))
    _, stranger_token = keys.create("globex", ["read"], moment)
    for name, data in (("kept.jpg", kept), ("erased.jpg", erased)):
        (SENT / name).write_bytes(data)
    with TestClient(build_app(settings, now=lambda: moment), headers={"Authorization": f"Bearer {token}"}) as client:
        first = client.post("/v1/images", content=kept, headers={"Idempotency-Key": "order-17"})
        second = client.post("/v1/images", content=erased)
        assert first.status_code == second.status_code == 201, (first.text, second.text)
        asked = client.delete(f"/v1/images/{second.json()['image_id']}")
        assert asked.status_code == 202, asked.text
    # The state after two presigned uploads: one with bytes that were sent before, and a refused one.
    owner = owner_hash(OWNER, owner_hash_key(settings))
    same, refused = new_image_id(moment), new_image_id(moment)
    receipts.note_same(same, first.json()["image_id"])
    receipts.quarantine(refused, b"no photo", owner, Refused("not_an_image", "begins like no photo"))
    for answer in (first, second):
        path = settings.lake_folder / photo_key(answer.json()["image_id"])
        os.utime(path, (moment.timestamp(), moment.timestamp()))
    return {
        "tokens": {"in_force": token, "revoked": revoked_token, "stranger": stranger_token},
        "keys": {"in_force": key.key_id, "revoked": revoked.key_id},
        "images": {"kept": first.json(), "erased": second.json() | asked.json(), "same": same, "refused": refused},
        "owner_hash": owner,
    }


def tables() -> dict[str, Any]:
    """Every table's rows, sorted by its key; a vector as the SHA-256 of its float32 bytes."""
    from shelf_assets.resources.lake import lake_of

    from shelf_assets.lake.schemas import TABLES
    from shelf_assets.settings import load_settings

    found = {}
    for name, spec in TABLES.items():
        rows = lake_of(load_settings()).table(name).scan().collect().sort(spec.key).to_dicts()
        found[name] = {"key": list(spec.key), "rows": [{each: as_json(row[each]) for each in row} for row in rows]}
    return found


def as_json(value: Any) -> Any:
    if isinstance(value, list) and len(value) > 100:
        import numpy as np

        return hashlib.sha256(np.asarray(value, np.float32).tobytes()).hexdigest()
    return value if isinstance(value, int | float | list | None) else str(value)


def held(instance: Any) -> dict[str, Any]:
    """The contents of the instance: its runs, materializations by asset and day, results by check."""
    import dagster as dg

    assets, checks = {}, {}
    for key in sorted(instance.all_asset_keys()):
        records = instance.fetch_materializations(dg.AssetRecordsFilter(key), limit=1000).records
        days: dict[str, int] = {}
        for record in records:
            days[str(record.partition_key)] = days.get(str(record.partition_key), 0) + 1
        assets[key.to_user_string()] = days
    runs = instance.get_runs()
    for run in runs:
        for record in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
            result = record.asset_check_evaluation
            name = f"{result.asset_key.to_user_string()}:{result.check_name}"
            checks[name] = checks.get(name, 0) + 1
            assert result.passed, name
    return {"runs": sorted(run.run_id for run in runs), "materializations": assets, "checks": checks}


def pack(target: Path) -> None:
    """Pack HOME and SENT into one archive, with the SQLite files vacuumed."""
    for folder in (HOME / "dbt", *(HOME / "dagster" / "storage").glob("*/compute_logs")):
        shutil.rmtree(folder)
    for path in sorted(HOME.rglob("*.db")):
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.execute("PRAGMA journal_mode=DELETE")
            database.execute("VACUUM")
        database.close()

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, "", ""
        return entry

    # File times are kept: they are part of the entity tag of an object in a folder.
    with tarfile.open(target, "w:xz", preset=9, format=tarfile.PAX_FORMAT) as archive:
        archive.add(HOME, "home", filter=anonymous)
        archive.add(SENT, "sent", filter=anonymous)


if __name__ == "__main__":
    make() if sys.argv[1:] == ["made"] else export_and_run()
